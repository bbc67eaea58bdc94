"""The tree that becomes Python in the camera: assembly, launcher, byte-code, trimming, bundles."""
