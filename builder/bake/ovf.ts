/** The virtual machine that an appliance asks for. */
export interface Hardware {
	/** Whether the image boots under UEFI alone; else a BIOS, which every hypervisor takes when nothing is said. */
	uefi: boolean;
	/** MiB. */
	memory: number;
}

/** The description of an appliance with one disk: two processors, VMware's paravirtual SCSI and vmxnet3 (OVF 1.1, DSP0243). OVF has no word for the firmware: it is VMware's own. */
export function formatOvf(
	name: string,
	disk: string,
	sizes: {packed: number; disk: number},
	{uefi, memory}: Hardware,
): string {
	const item = (id: number, type: number, fields: Record<string, string | number>) => {
		const all = {InstanceID: id, ResourceType: type, ElementName: `item-${id}`, ...fields};
		const lines = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)); // the schema is a sequence, by name
		return `      <Item>\n${lines.map(([key, value]) => `        <rasd:${key}>${value}</rasd:${key}>\n`).join('')}      </Item>\n`;
	};
	const cim = 'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2';
	return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="${cim}/CIM_ResourceAllocationSettingData" xmlns:vssd="${cim}/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:id="file1" ovf:href="${disk}" ovf:size="${sizes.packed}"/>
  </References>
  <DiskSection>
    <Info>The disk</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="${sizes.disk}" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>The network</Info>
    <Network ovf:name="network"/>
  </NetworkSection>
  <VirtualSystem ovf:id="${name}">
    <Info>A golden image of Debian</Info>
    <OperatingSystemSection ovf:id="96">
      <Info>Debian, 64 bit</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The hardware</Info>
      <System>
        <vssd:ElementName>Virtual hardware</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
${item(1, 3, {VirtualQuantity: 2})}${item(2, 4, {VirtualQuantity: memory, AllocationUnits: 'byte * 2^20'})}${item(3, 6, {Address: 0, ResourceSubType: 'VirtualSCSI'})}${item(4, 17, {AddressOnParent: 0, Parent: 3, HostResource: 'ovf:/disk/disk1'})}${item(5, 10, {AddressOnParent: 7, AutomaticAllocation: 'true', Connection: 'network', ResourceSubType: 'VmxNet3'})}${uefi ? '      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>\n' : ''}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}
