"""What a certificate says of itself. It is trusted by its digest alone, so this is only shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate: the SHA-256 of its DER form, whom it names, who issued it, and until when it is valid.

    The texts are "" where they cannot be read.
    """

    digest: str
    subject: str = ""
    issuer: str = ""
    valid_until: str = ""

    @property
    def is_self_signed(self) -> bool:
        return self.subject == self.issuer

    def describe(self) -> str:
        """Return one line about it for the user."""
        if not self.subject and not self.issuer:
            return "which cannot be read"
        who = "signed by itself" if self.is_self_signed else f"issued by {self.issuer}"
        return f"for {self.subject or 'nobody'}, {who}, valid until {self.valid_until}"


def read_certificate(data: bytes) -> Certificate:
    """Return what the certificate *data* (DER) says."""
    from cryptography import x509  # lazy: only an unknown certificate is read

    digest = hashlib.sha256(data).hexdigest()
    try:
        found = x509.load_der_x509_certificate(data)
        subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
        return Certificate(digest, subject[:_LONGEST], issuer[:_LONGEST], f"{found.not_valid_after_utc:%Y-%m-%d}")
    except Exception:  # the library has many errors for what a stranger sends, and none of them matters
        return Certificate(digest)
