import * as z from 'zod';

const size = z.string().regex(/^[1-9]\d*[MG]$/, 'expected a size such as 512M or 2G');

const window = z
	.string()
	.regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'expected a window such as 04:00-05:00')
	.refine(text => text.slice(0, 5) !== text.slice(6), 'expected a window whose ends differ');

const updates = z
	.strictObject({
		enabled: z.boolean().default(true).describe("install Debian's security updates every day"),
		reboot: z
			.union([
				z.literal('never'),
				z.strictObject({
					window: window.describe("in the machine's time zone; each machine has its own moment in it"),
					days: z
						.array(z.enum(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']))
						.min(1)
						.optional(),
				}),
			])
			.default('never')
			.describe('when to reboot, where an update such as a kernel asks for it'),
	})
	.prefault({})
	.describe('Security updates, and nothing else: point releases are left to a person.');

/** The section `hardening`. */
export const hardeningSchema = z
	.strictObject({
		updates,
		fail2ban: z.boolean().default(true).describe('shut out addresses that keep failing to log in over SSH'),
		sysctl: z
			.record(
				z
					.string()
					.regex(
						/^[\w-]+(\.[\w-]+(\/[\w-]+)*)+$/,
						'expected a kernel parameter such as net.core.somaxconn; a dot in the name of a link is written as a slash',
					),
				z.union([z.int(), z.string().regex(/^[^\n\r]+$/, 'expected one line of text')]),
			)
			.default({})
			.describe('kernel parameters, beside or instead of those that bringup sets'),
		journal: z
			.strictObject({
				maxSize: size.default('1G').describe('what the journal may take of the disk'),
				maxAge: z
					.string()
					.regex(/^[1-9]\d*(h|day|week|month)$/, 'expected an age such as 12h, 30day or 3month')
					.optional(),
			})
			.prefault({})
			.describe('The journal is kept on the disk.'),
		coredump: z
			.union([z.literal(false), z.strictObject({maxSize: size.default('2G').describe('what all of them may take')})])
			.default(false)
			.describe('whether memory of programs that crashed is kept; it may hold secrets'),
		recovery: z
			.boolean()
			.default(true)
			.describe('a user `recovery` for the console; build-iso shows the code once, and the machine has its hash'),
	})
	.describe('How the machine is kept safe, and how a person gets in when its network is gone.');

export type Hardening = z.output<typeof hardeningSchema>;
