"""What ``factory audit`` finds in an account."""

from typing import Final

from device.errors import Row

AUDIT_FAILED: Final = Row(
    "FB-850", "AuditFailedError", "The audit found something to put right",
    means="The account has certificates, things, policies or CAs that are a risk or left over.",
    causes=("Devices were retired or renewed by hand.", "Policies are wider than they have to be."),
    next_step="Put the errors right in their order; warnings may wait.",
)  # fmt: skip
NO_ACTIVE_CERTIFICATE: Final = Row(
    "FB-851", "NoActiveCertificateError", "A thing has no ACTIVE certificate",
    means="The device of the thing cannot connect.",
    causes=("It was retired or never provisioned, and the thing was kept.",),
    next_step="Delete the thing, or provision its device again.",
)  # fmt: skip
TWO_ACTIVE_CERTIFICATES: Final = Row(
    "FB-852", "TwoActiveCertificatesError", "A thing has more than one ACTIVE certificate",
    means="Either of them connects as the device.",
    causes=("A renewal did not turn the old certificate off.", "A device was made twice."),
    next_step="Turn off the one that the device no longer has: aws iot update-certificate "
    "--new-status INACTIVE --certificate-id ID.",
)  # fmt: skip
CERTIFICATE_WITHOUT_THING: Final = Row(
    "FB-853", "CertificateWithoutThingError", "An ACTIVE certificate belongs to no thing",
    means="Whoever has its key connects, and nobody can say which device that is.",
    causes=("The thing was deleted and its certificate kept.", "A script stopped halfway."),
    next_step="Turn it off, or attach it to its thing.",
)  # fmt: skip
CERTIFICATE_SHARED: Final = Row(
    "FB-854", "CertificateSharedError", "A certificate is attached to several things",
    means="Several devices have one key: a stolen one speaks for all of them.",
    causes=("One certificate was put into an image of the firmware.",),
    next_step="Give each device a certificate of its own.",
)  # fmt: skip
CERTIFICATE_WITHOUT_POLICY: Final = Row(
    "FB-855", "CertificateWithoutPolicyError", "An ACTIVE certificate has no policy",
    means="AWS IoT refuses whatever is done with it.",
    causes=("The policy was detached, or the template has none.",),
    next_step="Attach the device's policy, or turn the certificate off.",
)  # fmt: skip
POLICY_TOO_WIDE: Final = Row(
    "FB-856", "PolicyTooWideError", "A policy allows more than one device needs",
    means="A device with this policy can speak for others, or do everything.",
    causes=("It has a wildcard before the name of the device.",),
    next_step="Name the resource by ${{iot:Connection.Thing.ThingName}}; factory lint says more.",
)  # fmt: skip
ATTACHMENT_NOT_EXCLUSIVE: Final = Row(
    "FB-857", "AttachmentNotExclusiveError", "A certificate is not exclusively its thing's",
    means="AWS IoT would let another thing have the same certificate, too.",
    causes=("It was attached without --thing-principal-type EXCLUSIVE_THING.",),
    next_step="Detach it, and attach it with --thing-principal-type EXCLUSIVE_THING.",
)  # fmt: skip
CERTIFICATE_ENDS: Final = Row(
    "FB-858", "CertificateEndsError", "An ACTIVE certificate has ended, or ends soon",
    means="The device is cut off at the end of its certificate.",
    causes=("The device is not renewed, or was off for too long.",),
    next_step="Renew the device before the end, or make it again.",
)  # fmt: skip
CERTIFICATE_OLD: Final = Row(
    "FB-859", "CertificateOldError", "An ACTIVE certificate is old",
    means="The longer a key is in use, the more places it can have leaked to.",
    causes=("The device is not renewed.",),
    next_step="Renew the device.",
)  # fmt: skip
CA_ENDS: Final = Row(
    "FB-860", "CaEndsError", "A CA has ended, or ends soon",
    means="AWS IoT registers no device of a CA that has ended.",
    causes=("The CA was made for a limited time.",),
    next_step="Make and register another CA in time: factory ca, factory prepare.",
)  # fmt: skip
CLAIM_WITHOUT_END: Final = Row(
    "FB-861", "ClaimWithoutEndError", "A claim certificate is in use for long, and does not end",
    means="A claim lets whoever has it make devices; each batch should have its own.",
    causes=("A claim was never replaced, and AWS IoT issues them until 2049.",),
    next_step="Make another claim: factory claim; then turn the old one off.",
)  # fmt: skip
CERTIFICATE_NEVER_ACTIVATED: Final = Row(
    "FB-862", "CertificateNeverActivatedError", "A certificate waits for its activation",
    means="It was registered at a first connection, and is still PENDING_ACTIVATION.",
    causes=("The template, the rule or the Lambda failed.",),
    next_step="factory explain --certificate FILE says why; then delete it.",
)  # fmt: skip
CERTIFICATE_LEFT_OVER: Final = Row(
    "FB-863", "CertificateLeftOverError", "A certificate that is turned off is still attached",
    means="A certificate that is INACTIVE or REVOKED still belongs to a thing.",
    causes=("A renewal or a retirement stopped halfway.",),
    next_step="Detach and delete it.",
)  # fmt: skip
CA_DECIDES_NOTHING: Final = Row(
    "FB-864", "CaDecidesNothingError", "A CA registers devices, and nothing activates them",
    means="Auto-registration is on, but the CA has no template, and no rule hears of its devices.",
    causes=("The template was taken from the CA, or the rule was deleted.",),
    next_step="Give the CA a template, or make the rule: factory prepare.",
)  # fmt: skip
POLICY_WITHOUT_CONNECT: Final = Row(
    "FB-865", "PolicyWithoutConnectError", "No policy of a certificate allows iot:Connect",
    means="The certificate is ACTIVE and has policies, and still cannot connect.",
    causes=("The policy was replaced by one for topics alone.",),
    next_step="Allow iot:Connect on client/${{iot:Connection.Thing.ThingName}}.",
)  # fmt: skip
