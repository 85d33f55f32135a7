import { agentWorkScopes, defaultLimits, defaultMaxLimits, defaultThresholds, leaseModes } from '@opencode-tools/core';
import { checkpointKeys } from './checkpoint-keys.ts';
import { type Key, key, userOnly } from './key.ts';
import { images } from './images-kind.ts';
import { caches } from './caches-kind.ts';
import { secrets } from './secrets-kind.ts';
import { nameServers, policies } from './policies-kind.ts';
import { type ValueKind, byteSize, choice, duration, flag, number, path, paths, text } from './value-kind.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

/**
 * Every key of the configuration: the one table behind validation, environment variables, the published JSON Schema
 * and the defaults.
 */
export const configurationKeys = {
  home: userOnly(key(path(), null, 'Directory of the home; the data directory of the platform by default.')),
  database: userOnly(
    key(
      {
        ...text(
          'sqlite, env:NAME of a variable with a postgres:// address, or the address itself',
          '^(sqlite|env:[A-Za-z_][A-Za-z0-9_]*|postgres(ql)?://.+)$',
        ),
        secret: true,
      },
      'sqlite',
      'Where the registry of a new home is kept: `sqlite`, in the home directory, or a PostgreSQL database, whose address stays out of files as `env:NAME`. A home that exists knows where its registry is; `db move` changes it.',
    ),
  ),
  'postgres.tls': userOnly(
    key(
      choice('disable', 'require', 'verify'),
      null,
      'Encryption of connections to PostgreSQL; `verify` also checks the certificate. As the address says by default.',
    ),
  ),
  'postgres.ca': userOnly(key(path(), null, 'PEM file of the authority that signed the server’s certificate.')),
  'postgres.pool': userOnly(
    key(number({ min: 1, max: 100 }, { whole: true }), 10, 'Connections of one process at most.'),
  ),
  'retention.backups': userOnly(
    key(number({ min: 1, max: 1_000 }, { whole: true }), 10, 'Automatic backups of the registry that are kept.'),
  ),
  defaultImage: key(
    text('an image reference such as opencode-sandbox-base or example.org/image:tag', '^[^\\s]{1,255}$'),
    'opencode-sandbox-base',
    'Image of tasks that name none.',
  ),
  images: userOnly(
    key(
      images(),
      {},
      'Images by name, for `create-task --image` and `defaultImage`: made of a base or a Dockerfile and setup steps when they are asked for.',
    ),
  ),
  'engine.endpoint': userOnly(
    key(
      text(
        'unix:///path, npipe:////./pipe/name, tcp://host:port, http://host:port or https://host:port',
        endpointForm(),
      ),
      null,
      'Docker Engine to use; found like the docker command finds it by default.',
    ),
  ),
  ...checkpointKeys,
  'limits.memory': key(
    byteSize({ min: 32 * mebibyte, max: 1024 * gibibyte }),
    defaultLimits.memoryBytes,
    'Memory and swap together of a sandbox.',
  ),
  'limits.cpus': key(number({ min: 0.1, max: 1024 }, { whole: false }), defaultLimits.cpus, 'Cores of a sandbox.'),
  'limits.pids': key(
    number({ min: 16, max: 4_194_304 }, { whole: true }),
    defaultLimits.pids,
    'Processes and threads at once in a sandbox.',
  ),
  'limits.tmp': key(
    byteSize({ min: mebibyte, max: 1024 * gibibyte }),
    defaultLimits.tmpBytes,
    'Size of the tmpfs at /tmp, which counts as memory.',
  ),
  'limits.workspace': key(
    byteSize({ min: mebibyte, max: 1024 * gibibyte }),
    20 * gibibyte,
    'Size of a volume workspace; not enforced by the engine, but watched like the other limits.',
  ),
  'maxLimits.memory': userOnly(
    key(
      byteSize({ min: 32 * mebibyte, max: 1024 * gibibyte }),
      defaultMaxLimits.memoryBytes,
      'Most memory that a sandbox can be given.',
    ),
  ),
  'maxLimits.cpus': userOnly(
    key(number({ min: 0.1, max: 1024 }, { whole: false }), defaultMaxLimits.cpus, 'Most cores of a sandbox.'),
  ),
  'maxLimits.pids': userOnly(
    key(number({ min: 16, max: 4_194_304 }, { whole: true }), defaultMaxLimits.pids, 'Most processes of a sandbox.'),
  ),
  'monitor.warning': key(percent(), defaultThresholds.warning, 'Percent of a limit from which it is recorded.'),
  'monitor.critical': key(
    percent(),
    defaultThresholds.critical,
    'Percent of a limit from which a checkpoint is taken.',
  ),
  'monitor.emergency': key(
    percent(),
    defaultThresholds.emergency,
    'Percent of a limit from which the sandbox is held.',
  ),
  'monitor.interval': key(
    duration({ min: 100, max: 3_600_000 }),
    5_000,
    'How often a resident process, such as the MCP server, looks at running sandboxes.',
  ),
  requireLimits: userOnly(key(flag(), true, 'Refuse to run where the engine cannot enforce the limits.')),
  'mounts.allow': userOnly(
    key(
      paths(),
      null,
      'Directories of the host that tasks may work in (`create-task --bind`), with what is in them; any by default. What holds secrets or the engine is refused besides.',
    ),
  ),
  'pool.size': userOnly(
    key(
      number({ min: 0, max: 32 }, { whole: true }),
      0,
      'Sandboxes that a resident process, such as the MCP server, keeps ready; 0 keeps none. Short commands only take.',
    ),
  ),
  'pool.mode': userOnly(
    key(
      choice('running', 'paused'),
      'running',
      'How sandboxes of the pool wait: paused ones get no processor, and cost somewhat more to claim.',
    ),
  ),
  'pool.idle': userOnly(
    key(
      duration({ min: 1_000, max: 86_400_000 }),
      600_000,
      'How long a kind of sandbox that nobody asks for is kept ready.',
    ),
  ),
  'reaper.interval': userOnly(
    key(
      duration({ min: 1_000, max: 86_400_000 }),
      300_000,
      'How often the housekeeper of the home removes what is provably finished.',
    ),
  ),
  'reaper.grace': userOnly(
    key(duration({ min: 0, max: 604_800_000 }), 600_000, 'What is younger than this is never removed by the reaper.'),
  ),
  'lease.mode': key(choice(...leaseModes), 'exclusive', 'Whether one agent or several work in a task at once.'),
  'lease.ttl': key(
    duration({ min: 1_000, max: 86_400_000 }),
    900_000,
    'How long a session that is not heard of keeps its lease.',
  ),
  'lease.maxAgents': key(
    number({ min: 1, max: 100 }, { whole: true }),
    8,
    'Most agents attached to a task at once in collaborative mode.',
  ),
  'exec.timeout': key(duration({ min: 1, max: 86_400_000 }), 600_000, 'Time that a command may take.'),
  'exec.outputLimit': key(
    byteSize({ min: 1_024, max: mebibyte }),
    32_768,
    'Bytes of each output that are returned, head and tail; what `exec.maxOutput` allows is kept.',
  ),
  'exec.maxOutput': userOnly(
    key(
      byteSize({ min: 1_024, max: 1024 * gibibyte }),
      gibibyte,
      'Bytes of each output that are kept; a command that puts out more is ended.',
    ),
  ),
  'agents.work': userOnly(
    key(
      choice(...agentWorkScopes),
      'branch',
      'How far agents may bring work out of a sandbox by themselves, through MCP: `review` looks only, `branch` also makes and moves branches named opencode-tools/…, `directory` also changes the directory and branches that the task came from, and commits in bind workspaces. Tripwires always wait for a person.',
    ),
  ),
  caches: userOnly(
    key(
      caches(),
      {},
      'Caches by name, each a volume that tasks share (`create-task --cache`), and the directory that it has in sandboxes: `npm: default`, `pip: default`, or a path. Not part of checkpoints.',
    ),
  ),
  cacheBudget: userOnly(
    key(
      byteSize({ min: 0, max: 1024 * gibibyte }),
      20 * gibibyte,
      'What one cache may hold. One that holds more is removed, with all that is in it, once no sandbox has it; 0 sets no bound.',
    ),
  ),
  secrets: userOnly(
    key(
      secrets(),
      {},
      'Secrets by name, and where each value is, that agents may ask for as variables of one command; none by default.',
    ),
  ),
  policies: userOnly(
    key(
      policies(),
      {},
      'Egress policies by name, for `create-task --egress` and `policy set`, beside those that are built in.',
    ),
  ),
  'egress.nameServers': userOnly(
    key(nameServers(), [], 'Name servers that the egress gateway asks; those of the engine by default.'),
  ),
  'egress.authorities': userOnly(
    key(path(), null, 'PEM file of further authorities by which servers of terminated hosts may be certified.'),
  ),
  'egress.image': userOnly(
    key(
      text('an image reference such as node:24-slim', '^[^\\s]{1,255}$'),
      null,
      'Image in which the egress gateway runs, with Node 22.18 or newer as `node`; made of the Node of this host by default.',
    ),
  ),
  'hooks.branchCreator': userOnly(
    key(flag(), false, 'Make a branch <agent>-<model>/<description> for each task from a git repository.'),
  ),
  'hooks.planFile': userOnly(key(flag(), false, 'Write a Plan.md into the workspace of each task that has none.')),
  'hooks.safetyEnforcer': userOnly(key(flag(), true, 'Refuse sandbox plans that would weaken the hardening.')),
} as const satisfies Record<string, Key<unknown>>;

export type ConfigurationKey = keyof typeof configurationKeys;

type Parsed<K extends ConfigurationKey> = (typeof configurationKeys)[K]['kind'] extends ValueKind<infer T> ? T : never;
type Fallback<K extends ConfigurationKey> = (typeof configurationKeys)[K]['fallback'];

/** A value per key; null where nothing is set and there is no default. */
export type ConfigurationValues = { readonly [K in ConfigurationKey]: Parsed<K> | Extract<Fallback<K>, null> };

/** Names of all keys, in the order of the table. */
export const configurationKeyNames = Object.keys(configurationKeys) as readonly ConfigurationKey[];

/** The environment variable that overrides a key: `limits.memory` is `OPENCODE_TOOLS_LIMITS_MEMORY`. */
export function environmentVariable(name: ConfigurationKey): string {
  const words = name.replaceAll('.', '_').replaceAll(/([a-z])([A-Z])/g, '$1_$2');
  return `OPENCODE_TOOLS_${words.toUpperCase()}`;
}

function percent() {
  return number({ min: 1, max: 100 }, { whole: false });
}

function endpointForm(): string {
  return '^(unix:///|npipe://|tcp://|https?://).+$';
}
