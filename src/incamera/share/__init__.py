"""Network shares: folders of this computer that cameras mount, served by incamera or by the user's own server."""
