"""Cross-compiling: compiler, target sysconfig, PEP 517 builds."""
