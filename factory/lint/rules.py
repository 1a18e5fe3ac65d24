"""Every rule: what it is called, why it is one, who says so, and what to do."""

from collections.abc import Mapping
from typing import Final

from factory.lint.finding import Rule, Severity

_GUIDE: Final = "AWS IoT developer guide"
_POLICIES: Final = f'{_GUIDE}, "AWS IoT Core policies"'
_VARIABLES: Final = f'{_GUIDE}, "AWS IoT Core policy variables"'
_CLAIMS: Final = f'{_GUIDE}, "Provisioning by claim"'
_TEMPLATES: Final = f'{_GUIDE}, "Provisioning templates"'
_QUOTAS: Final = "AWS IoT Core quotas"
_IAM: Final = 'IAM user guide, "Security best practices"'


_ALL: Final[list[Rule]] = []


def _rule(name: str, severity: Severity, *words: str) -> Rule:
    rule = Rule(name, severity, *words)
    _ALL.append(rule)
    return rule


def _error(name: str, why: str, source: str, next_step: str) -> Rule:
    return _rule(name, Severity.ERROR, why, source, next_step)


def _warning(name: str, why: str, source: str, next_step: str) -> Rule:
    return _rule(name, Severity.WARNING, why, source, next_step)


MALFORMED: Final = _error(
    "malformed", "AWS would refuse it, or read it otherwise than it was meant", _POLICIES,
    "Write it as AWS documents it; config/ has one of each kind.",
)  # fmt: skip

# --- policies ----------------------------------------------------------------------

WILDCARD_ACTION: Final = _error(
    "wildcard-action", "it allows actions that nobody has thought of, and those AWS adds later",
    _IAM, "Name the actions that are needed, one by one.",
)  # fmt: skip
WILDCARD_RESOURCE: Final = _error(
    "wildcard-resource", "one stolen key then speaks for every device", _POLICIES,
    "Name the resource, or let a variable name it: ${iot:Connection.Thing.ThingName}.",
)  # fmt: skip
WILDCARD_TOPIC: Final = _error(
    "wildcard-topic", "a wildcard before the device's own name reaches other devices' topics",
    _POLICIES, "Write the topic out, or put ${iot:Connection.Thing.ThingName} before the wildcard.",
)  # fmt: skip
MQTT_WILDCARD: Final = _error(
    "mqtt-wildcard", "+ and # are ordinary characters in a policy: it allows a topic of that name",
    _POLICIES, "Use * in a topic; in a topicfilter + and # only fit the very same filter.",
)  # fmt: skip
RESOURCE_TYPE: Final = _error(
    "resource-type", "the statement never applies: Connect goes with client/, Publish and Receive "
    "with topic/, Subscribe with topicfilter/", f'{_GUIDE}, "AWS IoT Core policy actions"',
    "Give each action a statement with resources of its own type.",
)  # fmt: skip
SUBSCRIBE_WITHOUT_RECEIVE: Final = _error(
    "subscribe-without-receive", "the subscription is granted and nothing ever comes: Receive is "
    "checked at each delivery", f'{_GUIDE}, "AWS IoT Core policy actions"',
    "Allow iot:Receive on topic/ of the same name.",
)  # fmt: skip
CSR_TOPICS_MISSING: Final = _error(
    "csr-topics-missing", "a device that makes its own key asks on create-from-csr, and would be "
    "disconnected", _CLAIMS,
    "Allow Publish on $aws/certificates/create-from-csr/json, Subscribe and Receive on its "
    "accepted and rejected.",
)  # fmt: skip
CREATE_STAR: Final = _error(
    "create-star", "create/* does not cover create-from-csr/: the slash is another one",
    "aws/aws-iot-device-sdk-python-v2, fleet provisioning sample policy",
    "Allow $aws/certificates/create-from-csr/json as well, or instead.",
)  # fmt: skip
UNKNOWN_VARIABLE: Final = _error(
    "unknown-variable", "it is never filled in, so that the statement never applies", _VARIABLES,
    "Use a variable that AWS knows; thing variables begin with iot:Connection.Thing.",
)  # fmt: skip
THING_VARIABLE_IN_CLAIM: Final = _error(
    "thing-variable-in-claim", "thing variables are filled in only if the client id is the name "
    "of a thing that the certificate is attached to; a claim is attached to none",
    f'{_GUIDE}, "Thing policy variables"',
    "Let the claim connect as client/claim-*, and name its topics outright.",
)  # fmt: skip
VARIABLE_WITHOUT_FIELD: Final = _error(
    "variable-without-field", "the certificate lacks the field, so that the statement never "
    "applies", f'{_GUIDE}, "X.509 Certificate AWS IoT Core policy variables"',
    "Put the field into subject: in the device's settings, or do without the variable.",
)  # fmt: skip
POLICY_TOO_LONG: Final = _error(
    "policy-too-long", "AWS takes 2048 characters, white space not counted", _QUOTAS,
    "Split it: a certificate can have ten policies.",
)  # fmt: skip
TRUST_OPEN: Final = _error(
    "trust-open", "anybody in AWS may assume the role", _IAM,
    "Name the service or the account that may.",
)  # fmt: skip
TRUST_WITHOUT_ACCOUNT: Final = _error(
    "trust-without-account", "another account could have AWS IoT assume this role (the confused "
    "deputy)", f'{_GUIDE}, "Cross-service confused deputy prevention"',
    'Add "Condition": {"StringEquals": {"aws:SourceAccount": "@account"}}.',
)  # fmt: skip

# --- templates ---------------------------------------------------------------------

TEMPLATE_TOO_LONG: Final = _error(
    "template-too-long", "AWS takes 10240 characters", "AWS IoT API reference, templateBody",
    "Shorten it; move inline policies into policies of their own.",
)  # fmt: skip
PARAMETER_TYPE: Final = _error(
    "parameter-type", "String is the only type", _TEMPLATES, 'Write {"Type": "String"}.'
)
PARAMETER_WITHOUT_SOURCE: Final = _error(
    "parameter-without-source", "nothing gives it a value, and it has no Default: provisioning "
    "fails for every device", _TEMPLATES,
    "Set it (claim.parameters, or subject, in the device's settings), or give it a Default.",
)  # fmt: skip
PARAMETER_NOT_DECLARED: Final = _warning(
    "parameter-not-declared", "the device sends it, and the template does not know it", _TEMPLATES,
    "Declare it under Parameters, or take it out of claim.parameters.",
)  # fmt: skip
PARAMETER_UNUSED: Final = _warning(
    "parameter-unused", "provisioning fails where it is missing, and it is good for nothing",
    _TEMPLATES, "Use it, or take it out.",
)  # fmt: skip
UNKNOWN_REF: Final = _error(
    "unknown-ref", 'AWS answers "Cannot resolve reference value", for every device', _TEMPLATES,
    "Declare it under Parameters; that goes for AWS's pseudo parameters, too.",
)  # fmt: skip
AWS_PARAMETER: Final = _error(
    "aws-parameter", "AWS::Region and the like are CloudFormation's; here only those that begin "
    "with AWS::IoT::Certificate:: are known", _TEMPLATES,
    "Write the value out, or make it a parameter.",
)  # fmt: skip
PSEUDO_PARAMETER: Final = _error(
    "pseudo-parameter", "AWS fills in the subject's fields for just-in-time provisioning only; "
    "for a fleet there is AWS::IoT::Certificate::Id", _TEMPLATES,
    "Have the device send it as a parameter.",
)  # fmt: skip
UNKNOWN_FUNCTION: Final = _error(
    "unknown-function", "AWS knows Ref, Fn::Join, Fn::Select, Fn::FindInMap, Fn::Split and Fn::Sub",
    _TEMPLATES, "Use one of those.",
)  # fmt: skip
FUNCTION_NOT_HERE: Final = _error(
    "function-not-here", "Mappings take neither parameters nor functions, and Policy resources no "
    "Fn::Join", _TEMPLATES, "Use Fn::Sub in policies; write mappings out.",
)  # fmt: skip
FUNCTION_UNDOCUMENTED: Final = _warning(
    "function-undocumented", "AWS documents functions for fleet provisioning templates; elsewhere "
    "only Ref is shown", _TEMPLATES, "Use Ref, or try it in your account first.",
)  # fmt: skip
RESOURCE_UNKNOWN: Final = _error(
    "resource-unknown", "a template makes AWS::IoT::Thing, AWS::IoT::Certificate and "
    "AWS::IoT::Policy", _TEMPLATES, "Make other resources otherwise.",
)  # fmt: skip
PROPERTY_UNKNOWN: Final = _error(
    "property-unknown", "AWS does not know this property", _TEMPLATES, "Correct its name."
)
CERTIFICATE_SOURCE: Final = _error(
    "certificate-source", "a certificate comes from exactly one of CertificateId, "
    "CertificateSigningRequest and CertificatePem; just-in-time and fleet provisioning have one "
    "already, and take CertificateId only", _TEMPLATES,
    'Write "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"} there.',
)  # fmt: skip
POLICY_NAME_OR_DOCUMENT: Final = _error(
    "policy-name-or-document", "a Policy resource has PolicyName or PolicyDocument, not both and "
    "not neither", _TEMPLATES, "Choose one; a name lets all devices share one policy.",
)  # fmt: skip
TOO_MANY_POLICIES: Final = _error(
    "too-many-policies", "a certificate can have ten policies", _QUOTAS, "Join some of them."
)
OVERRIDE_UNKNOWN: Final = _error(
    "override-unknown", "OverrideSettings know DO_NOTHING, REPLACE, FAIL, and for ThingGroups and "
    "AttributePayload MERGE; a thing has AttributePayload, ThingTypeName and ThingGroups, a "
    "certificate Status", _TEMPLATES, "Correct it.",
)  # fmt: skip
THING_NAME_DIFFERS: Final = _error(
    "thing-name-differs", "thing variables are filled in only if the client id is the name of the "
    "thing, and the device connects under another: it is never let in",
    f'{_GUIDE}, "Thing policy variables"',
    "Take ThingName, and thing_name in the device's settings, from the same field; or attach the "
    "certificate as EXCLUSIVE_THING.",
)  # fmt: skip
TOO_MANY_ATTRIBUTES: Final = _error(
    "too-many-attributes", "a thing without a type has three attributes", _QUOTAS,
    "Give the thing a ThingTypeName (then it has fifty), or use fewer.",
)  # fmt: skip
CONFIGURATION_NESTED: Final = _error(
    "configuration-nested", "DeviceConfiguration is a flat map of strings", _TEMPLATES,
    "Write a value that is JSON as a string.",
)  # fmt: skip
CONFIGURATION_NOT_SENT: Final = _warning(
    "configuration-not-sent", "only fleet provisioning sends DeviceConfiguration to the device",
    _TEMPLATES, "Leave it out, or give it to the device otherwise.",
)  # fmt: skip
HOOK_ON_JITP: Final = _error(
    "hook-on-jitp", "pre-provisioning hooks are called for FLEET_PROVISIONING only",
    "AWS IoT API reference, CreateProvisioningTemplate",
    "Check the device in a rule's Lambda (just-in-time registration), or take the hook out.",
)  # fmt: skip
NAMED_MISSING: Final = _error(
    "named-missing", "provisioning makes no groups, thing types or billing groups, and fails for "
    "every device where one is missing", _TEMPLATES,
    "factory prepare makes what the station's own templates name; others: aws iot create-*",
)  # fmt: skip
TEMPLATE_DISABLED: Final = _error(
    "template-disabled", "AWS IoT provisions nobody with it", _TEMPLATES,
    "Enable it: factory prepare, or aws iot update-provisioning-template --enabled",
)  # fmt: skip

RULES: Final[Mapping[str, Rule]] = {rule.id: rule for rule in _ALL}
"""By their ids."""
