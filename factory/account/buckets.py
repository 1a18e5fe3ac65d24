"""The S3 bucket that a bulk registration reads its file from."""

from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, Value, items, text
from factory.account.tags import check_owned, station_tags
from factory.errors import NotInCloudError

KIND: Final = "bucket"
_NO_TAGS: Final = "NoSuchTagSet"
_WITHOUT_CONSTRAINT: Final = "us-east-1"
"""The one Region whose name CreateBucket does not take as a LocationConstraint."""


def bucket_name(cloud: Cloud, purpose: str) -> str:
    """Return a name that is the account's and the Region's own: all of AWS shares one space."""
    return f"firstboot-{purpose}-{cloud.account.account_id}-{cloud.account.region}"


def ensure_bucket(cloud: Cloud, name: str) -> Change:
    """Make the bucket; AWS keeps it closed to the public and encrypted from the start.

    Raises:
        NotMadeByStationError: someone else's bucket has this name.
        CloudError: AWS did not answer, or said no.
    """
    if _is_there(cloud, name):
        return Change(KIND, name, Outcome.UNCHANGED)
    settings: dict[str, Value] = {"Tags": station_tags()}
    if cloud.account.region != _WITHOUT_CONSTRAINT:
        settings["LocationConstraint"] = cloud.account.region
    cloud.call("s3", "CreateBucket", Bucket=name, CreateBucketConfiguration=settings)
    return Change(KIND, name, Outcome.CREATED)


def remove_bucket(cloud: Cloud, name: str) -> Change:
    """Delete the bucket and all that is in it.

    Raises:
        NotMadeByStationError: someone else's bucket has this name.
        CloudError: AWS did not answer, or said no.
    """
    if not _is_there(cloud, name):
        return Change(KIND, name, Outcome.ABSENT)
    for page in list(cloud.pages("s3", "ListObjectsV2", Bucket=name)):
        keys: list[Value] = [{"Key": text(each, "Key")} for each in items(page, "Contents")]
        if keys:
            cloud.call("s3", "DeleteObjects", Bucket=name, Delete={"Objects": keys})
    cloud.call("s3", "DeleteBucket", Bucket=name)
    return Change(KIND, name, Outcome.REMOVED)


def _is_there(cloud: Cloud, name: str) -> bool:
    try:
        tags: list[Response] = items(cloud.call("s3", "GetBucketTagging", Bucket=name), "TagSet")
    except NotInCloudError as error:
        if error.error_code != _NO_TAGS:
            return False
        tags = []
    check_owned(KIND, name, tags)
    return True
