"""ACAP applications (`.eap`): the manifest, the files that follow from it, and the vendor tool's archive."""
