"""The methods whose devices hold a certificate that the station's own CA signed."""

from collections.abc import Iterable

from device.storage.device_storage import DeviceStorage
from factory.account.cloud import Cloud
from factory.account.registered_devices import certificates_of_method
from factory.making.device_leaf import install_leaf
from factory.making.new_device import DeviceOrder
from factory.methods.method import Method
from factory.station.station import Station


class LeafMethod(Method):
    """``device.config.methods.Credential.LEAF``: the key is made in the device, the CA signs."""

    def install(
        self, _: Cloud, station: Station, storage: DeviceStorage, order: DeviceOrder, /
    ) -> None:
        """Make the device's key in the device, and give it a leaf that the issuing CA signs.

        Raises:
            StationNotPreparedError: ``prepare`` has not been run to its end.
            LeafSubjectError: the leaf would lack a subject field that the template wants.
        """
        install_leaf(station.authorities, self.name, storage, order)

    def certificates(self, cloud: Cloud) -> Iterable[str]:
        """Return what the method's CA signed, and what its things hold once the CA is gone."""
        return certificates_of_method(cloud, self.name, self.mark)
