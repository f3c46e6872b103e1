"""Sign a finished video with a C2PA manifest (content credentials), where the package `c2pa-python` is installed.

The manifest says what `provenance` says, and its hashes tell whether the file was changed since. A certificate of one's
own is named by two environment variables; without them a fresh one signs, which nobody knows: programs then show the
manifest as whole, but its signer as not trusted. See https://spec.c2pa.org and
https://opensource.contentauthenticity.org.
"""

from __future__ import annotations

import datetime
import functools
import logging
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import BadInput, BadMedia
from .provenance import Provenance

CERTIFICATE = "PORTRAITTALK_C2PA_CERTIFICATE"
"""Environment variable: a PEM file with the certificate, followed by those that vouch for it."""

KEY = "PORTRAITTALK_C2PA_KEY"
"""Environment variable: a PEM file with its private key, on the curve P-256 (the algorithm ES256)."""

_KINDS = {".mp4": "video/mp4", ".webp": "image/webp"}
_VALID_DAYS = 365

logger = logging.getLogger(__name__)


def installed() -> bool:
    """Return whether files can be signed: whether `c2pa-python` is installed."""
    return find_spec("c2pa") is not None


def own_certificate() -> tuple[bytes, bytes] | None:
    """Return the certificate and the key that the environment names, None where it names none.

    Raises:
        BadInput: Where only one of the two variables is set.
        BadMedia: Where a file cannot be read.
    """
    named = [os.environ.get(name) for name in (CERTIFICATE, KEY)]
    if not any(named):
        return None
    if not all(named):
        raise BadInput(f"`{CERTIFICATE}` and `{KEY}` must be set both or not at all, but one is missing. Set it.")
    try:
        chain, key = (Path(str(path)).read_bytes() for path in named)
    except OSError as error:
        raise BadMedia(f"The certificate cannot be read ({error}). Check what {CERTIFICATE} and {KEY} name.") from error
    return chain, key


def sign(path: Path, target: Path, provenance: Provenance) -> bool:
    """Sign a finished file in its place.

    A file that cannot be signed stays as it is, with a warning: the video is worth more.

    Args:
        path: The file.
        target: The name that it will have; .mp4 and .webp can be signed.
        provenance: What the manifest says.

    Returns:
        Whether it is signed.

    Raises:
        BadInput: See `own_certificate`.
        BadMedia: See `own_certificate`.
    """
    kind = _KINDS.get(target.suffix.lower())
    if kind is None or not installed():
        return False
    c2pa: Any = import_module("c2pa")
    chain, key = own_certificate() or _fresh_certificate()
    signed = path.with_name(f"{path.name}.signed")
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
        with path.open("rb") as source, signed.open("w+b") as copy:
            c2pa.Builder(_manifest(provenance)).sign(signer, kind, source, copy)
        os.replace(signed, path)
    except c2pa.C2paError as error:
        logger.warning(
            "%s is not signed (%s). Check the files that %s and %s name.",
            target,
            " ".join(str(error).split()),
            CERTIFICATE,
            KEY,
        )
        return False
    finally:
        signed.unlink(missing_ok=True)
    return True


def read_credentials(path: str | Path) -> str | None:
    """Return in words what the content credentials of a file are.

    Args:
        path: A video or a picture.

    Returns:
        Whether the file is as it was signed, and who signed; None where there are none, or `c2pa-python` is missing.
    """
    if not installed():
        return None
    c2pa: Any = import_module("c2pa")
    try:
        with c2pa.Reader(str(path)) as reader:
            manifest: dict[str, Any] = reader.get_active_manifest() or {}
            state = str(reader.get_validation_state()).lower()
    except c2pa.C2paError:
        return None
    return f"{state}, signed by {manifest.get('signature_info', {}).get('issuer', 'nobody named')}"


def _manifest(provenance: Provenance) -> dict[str, Any]:
    name, _, version = provenance.made_by.rpartition(" ")
    agent = {"name": name or version, "version": version}
    created = {"action": "c2pa.created", "digitalSourceType": provenance.source_type, "softwareAgent": agent}
    if provenance.model:
        created["description"] = f"Made by the model {provenance.model}."
    return {
        "claim_generator_info": [agent],
        "title": "Synthetic video",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


@functools.lru_cache(maxsize=1)
def _fresh_certificate() -> tuple[bytes, bytes]:
    """Make a certificate for this process and one that vouches for it; C2PA takes none that vouches for itself."""
    ec: Any = import_module("cryptography.hazmat.primitives.asymmetric.ec")  # c2pa-python brings it
    serialization: Any = import_module("cryptography.hazmat.primitives.serialization")
    above, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = _certificate("signer", own, "root", above) + _certificate("root", above, "root", above)
    kind = serialization.PrivateFormat.PKCS8
    return chain, own.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def _certificate(name: str, key: Any, issuer: str, by: Any) -> bytes:
    """Return a certificate as C2PA's certificate profile wants it (C2PA specification 2.1, section 14.5)."""
    x509: Any = import_module("cryptography.x509")
    hashes: Any = import_module("cryptography.hazmat.primitives.hashes")
    serialization: Any = import_module("cryptography.hazmat.primitives.serialization")

    def subject(said: str) -> Any:
        parts = ((x509.NameOID.ORGANIZATION_NAME, "PortraitTalk, unverified"), (x509.NameOID.COMMON_NAME, said))
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])

    root = name == issuer
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = dict.fromkeys((*never, "encipher_only", "decipher_only"), False)
    usage |= {"digital_signature": not root, "key_cert_sign": root, "crl_sign": root}
    made = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(subject(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not root:
        purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(purpose, critical=False)
    return made.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
