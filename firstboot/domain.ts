import {
	digestOf,
	type NetworkOfDomains,
	nameTarget,
	type PlacedDomain,
	type PlacedLink,
	type Volume,
} from './virtualization.ts';

type Attributes = Readonly<Record<string, string | number | undefined>>;

const escapeText = (text: string) => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);

/** An element of XML; its content is escaped text, or elements each on lines of their own. */
function element(name: string, attributes: Attributes = {}, content: string | readonly string[] = []): string {
	const given = Object.entries(attributes).filter(([, value]) => value !== undefined);
	const open = [name, ...given.map(([key, value]) => `${key}="${escapeText(String(value))}"`)].join(' ');
	if (typeof content === 'string') return `<${open}>${escapeText(content)}</${name}>`;
	if (content.length === 0) return `<${open}/>`;
	return `<${open}>\n${content.join('\n').replace(/^/gm, '  ')}\n</${name}>`;
}

/** The XML of an object of libvirt, and the digest of it that it carries: what libvirt keeps is compared by that. */
export interface Definition {
	xml: string;
	digest: string;
}

function define(render: (metadata: string) => string): Definition {
	const digest = digestOf(render(''));
	const mark = element('bringup:definition', {'xmlns:bringup': 'urn:bringup:libvirt'}, digest);
	return {xml: render(element('metadata', {}, [mark])), digest};
}

const lines = (...parts: readonly (string | false | undefined)[]) =>
	parts.filter(part => part !== undefined && part !== false && part !== '') as string[];

const formatVlan = (vlan: number) => element('vlan', {}, [element('tag', {id: vlan})]);

/** A libvirt network: a bridge of the machine, with its port groups. */
export function renderNetwork(name: string, uuid: string, {bridge, vlan, groups}: NetworkOfDomains): Definition {
	return define(metadata =>
		element(
			'network',
			{},
			lines(
				element('name', {}, name),
				element('uuid', {}, uuid),
				metadata,
				element('forward', {mode: 'bridge'}),
				element('bridge', {name: bridge}),
				vlan !== undefined && formatVlan(vlan),
				...Object.entries(groups).map(([group, {vlan}]) => element('portgroup', {name: group}, [formatVlan(vlan)])),
			),
		),
	);
}

/** A libvirt storage pool: a folder. */
export function renderPool(name: string, uuid: string, path: string): string {
	return element('pool', {type: 'dir'}, [
		element('name', {}, name),
		element('uuid', {}, uuid),
		element('target', {}, [element('path', {}, path)]),
	]);
}

const ovmf = '/usr/share/OVMF';

/** Debian's own paths, the same in both releases: what libvirt would choose changes with QEMU's firmware descriptors. */
function formatFirmware({name, firmware}: PlacedDomain): string[] {
	if (firmware === 'bios') return [];
	const secure = firmware === 'uefi-secure-boot';
	const keys = secure ? '.ms' : '';
	const loader = {readonly: 'yes', secure: secure ? 'yes' : 'no', type: 'pflash'};
	return [
		element('loader', loader, `${ovmf}/OVMF_CODE_4M${keys}.fd`),
		element('nvram', {template: `${ovmf}/OVMF_VARS_4M${keys}.fd`}, `/var/lib/libvirt/qemu/nvram/${name}_VARS.fd`),
	];
}

function formatDisk({boot}: PlacedDomain, volume: Volume, index: number): string {
	const file = volume.kind === 'file';
	// A block device takes O_DIRECT; not every file system of a folder does.
	const driver = file ? {type: 'qcow2'} : {type: 'raw', cache: 'none', io: 'native'};
	return element('disk', {type: file ? 'file' : 'block', device: 'disk'}, [
		element('driver', {name: 'qemu', ...driver, discard: 'unmap'}),
		element('source', {[file ? 'file' : 'dev']: volume.path}),
		element('target', {dev: nameTarget(index), bus: 'virtio'}),
		element('serial', {}, `disk-${index}`),
		...(boot.includes('disk') ? [element('boot', {order: 1 + index + (boot[0] === 'disk' ? 0 : 8)})] : []),
	]);
}

function formatSeed(path: string): string {
	return element('disk', {type: 'file', device: 'disk'}, [
		element('driver', {name: 'qemu', type: 'raw'}),
		element('source', {file: path}),
		element('target', {dev: 'vdz', bus: 'virtio'}),
		element('readonly'),
		element('serial', {}, 'seed'),
	]);
}

function formatLink({boot}: PlacedDomain, link: PlacedLink, index: number): string {
	return element('interface', {type: 'network'}, [
		element('mac', {address: link.mac}),
		element('source', {network: link.network, portgroup: link.group}),
		element('target', {dev: link.device}),
		element('model', {type: 'virtio'}),
		...(boot.includes('network') ? [element('boot', {order: 1 + index + (boot[0] === 'network' ? 0 : 16)})] : []),
	]);
}

function formatDevices(domain: PlacedDomain, seed: string | undefined): string {
	const log = element('log', {file: `/var/log/libvirt/qemu/${domain.name}-serial.log`, append: 'on'});
	return element(
		'devices',
		{},
		lines(
			...domain.volumes.map((volume, index) => formatDisk(domain, volume, index)),
			seed && formatSeed(seed),
			...domain.links.map((link, index) => formatLink(domain, link, index)),
			element('controller', {type: 'usb', model: 'none'}),
			element('serial', {type: 'pty'}, [log, element('target', {port: 0})]),
			element('console', {type: 'pty'}, [element('target', {type: 'serial', port: 0})]),
			domain.agent &&
				element('channel', {type: 'unix'}, [element('target', {type: 'virtio', name: 'org.qemu.guest_agent.0'})]),
			element('rng', {model: 'virtio'}, [element('backend', {model: 'random'}, '/dev/urandom')]),
		),
	);
}

/** A domain as libvirt defines it. `seed` is the path of its NoCloud image; the memory is in bytes. */
export function renderDomain(
	domain: PlacedDomain,
	{accelerator, memory, seed}: {accelerator: 'kvm' | 'tcg'; memory: number; seed: string | undefined},
): Definition {
	const kvm = accelerator === 'kvm';
	const secure = domain.firmware === 'uefi-secure-boot';
	return define(metadata =>
		element(
			'domain',
			{type: kvm ? 'kvm' : 'qemu'},
			lines(
				element('name', {}, domain.name),
				element('uuid', {}, domain.uuid),
				metadata,
				element('memory', {unit: 'KiB'}, String(Math.floor(memory / 1024))),
				element('vcpu', {}, String(domain.cpus)),
				element('os', {}, [element('type', {arch: 'x86_64', machine: 'q35'}, 'hvm'), ...formatFirmware(domain)]),
				element('features', {}, lines(element('acpi'), element('apic'), secure && element('smm', {state: 'on'}))),
				element('cpu', {mode: kvm ? 'host-passthrough' : 'maximum'}),
				element('clock', {offset: 'utc'}),
				element('on_poweroff', {}, 'destroy'),
				element('on_reboot', {}, 'restart'),
				element('on_crash', {}, 'restart'),
				formatDevices(domain, seed),
			),
		),
	);
}
