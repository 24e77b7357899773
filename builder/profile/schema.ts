import * as z from 'zod';
import {sections, size, url} from '../../firstboot/sequence.ts';

const packageName = z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, 'expected a Debian package name');

const debian = z
	.strictObject({
		release: z.enum(['trixie', 'bookworm']).default('trixie').describe('Debian 13 or 12'),
		mirror: url('https?|file')
			.optional()
			.describe(
				"where packages come from, such as http://mirror.example/debian; without it, that of this workstation's own apt, or Debian's own. With a password or a loopback address it is the build's alone, and the machine gets Debian's own",
			),
		securityMirror: url('https?|file')
			.optional()
			.describe('the same for security updates, such as http://mirror.example/debian-security'),
		components: z
			.array(z.enum(['main', 'contrib', 'non-free', 'non-free-firmware']))
			.min(1)
			.default(['main', 'non-free-firmware']),
		archives: z
			.record(
				z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'expected a name of lower case letters, digits and -'),
				z.strictObject({
					uri: url('https?|file').describe('such as http://mirror.example/own'),
					suite: z.string().regex(/^[\w][\w./-]*$/, 'expected a suite such as trixie'),
					components: z
						.array(z.string().regex(/^[\w][\w./-]*$/, 'expected a component such as main'))
						.min(1)
						.default(['main']),
					key: z.string().min(1).describe('the file of the key that signs it (.asc or .gpg), relative to the profile'),
				}),
			)
			.default({})
			.describe(
				'further archives for the build, such as one of your own packages; of two versions the newer is taken. The machine is told of Debian’s alone',
			),
		packages: z.array(packageName).default([]).describe('Debian packages beside those that the phases need'),
		installerLock: z
			.string()
			.min(1)
			.optional()
			.describe(
				'for `method: debian-installer`, a file that pins which one; `bringup lock-installer` makes it; without it, the newest that the mirror has',
			),
		lock: z
			.string()
			.min(1)
			.optional()
			.describe(
				'a file that pins every package by version and digest, and so the medium byte for byte; `bringup lock` makes it',
			),
		snapshots: z
			.array(url('https?|file'))
			.default([])
			.describe(
				'archives to ask for a locked package that the mirror no longer has, such as http://mirror.example/snapshot/debian/20261121T000000Z',
			),
		proxy: url('https?')
			.optional()
			.describe('HTTP proxy that the build downloads through; the machine does not get it'),
	})
	.prefault({})
	.describe('Which Debian, and from where.');

const machine = z
	.strictObject({
		firmware: z
			.array(z.enum(['uefi', 'bios']))
			.min(1)
			.default(['uefi', 'bios'])
			.describe('what the medium boots under; `uefi` is with Secure Boot and without'),
		secureBoot: z
			.boolean()
			.default(true)
			.describe(
				'whether Secure Boot may be on, as it is out of the box; where it is off, modules need no signature, such as the one of ZFS',
			),
		consoles: z
			.array(z.string().regex(/^tty[A-Za-z0-9]+(,\d+[noe]?\d?)?$/, 'expected a console such as tty0 or ttyS0,115200'))
			.min(1)
			.default(['ttyS0,115200', 'tty0'])
			.describe('where kernel messages and progress go; the last one is /dev/console'),
		microcode: z
			.array(z.enum(['intel', 'amd']))
			.default(['intel', 'amd'])
			.describe('processor updates in the image; they need the component non-free-firmware'),
		memory: size
			.optional()
			.describe('what the machine has, where it is known: then `check` sees whether the domains fit'),
		cpus: z.int().min(1).optional().describe('its processors as Linux counts them, where they are known'),
	})
	.prefault({})
	.describe('The hardware that the medium boots on.');

/** A profile: the sections of the builder and those of the phases. */
export const profileSchema = z
	.strictObject({
		schema: z.literal(1).describe('the version of this format'),
		extends: z
			.string()
			.min(1)
			.optional()
			.describe(
				'another profile, by a path relative to this one, or by the name of one that bringup ships, such as node.yaml; its fields hold where this one says nothing; a field that is null here is taken away',
			),
		debian,
		machine,
		...sections,
	})
	.describe(
		'A kind of machine: what Debian it runs, which disk it is installed to, who may log in, how it is on the network.',
	);

export type ProfileFields = z.output<typeof profileSchema>;

/** The profile's JSON Schema, of what people write: defaults may be left out. */
export function makeJsonSchema(): Record<string, unknown> {
	return z.toJSONSchema(profileSchema, {io: 'input', unrepresentable: 'any', reused: 'inline'}) as Record<
		string,
		unknown
	>;
}
