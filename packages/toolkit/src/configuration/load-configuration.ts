import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type {
  AgentWorkScope,
  AutomaticCheckpoints,
  LeaseMode,
  LiveLimits,
  ResourceLimits,
  RetentionPolicy,
  Thresholds,
} from '@opencode-tools/core';
import type { ConfiguredImage, ConfiguredImages } from './images-kind.ts';
import type { ConfiguredCaches } from './caches-kind.ts';
import type { ConfiguredSecrets } from './secrets-kind.ts';
import type { ConfiguredPolicies } from './policies-kind.ts';
import type { Environment } from './environment.ts';
import { refusedForm } from './invalid-config.ts';
import { type Place, expandPath, findProjectFile, resolveHome, userFile } from './locations.ts';
import {
  type ConfigurationSource,
  type PartialValues,
  defaultValues,
  readDocument,
  readEnvironment,
} from './read-values.ts';
import type { ConfigurationValues } from './keys.ts';
import { type ConfigurationNotice, unknownVariables } from './unknown-variables.ts';

/** What a home is opened with: every key resolved, durations in milliseconds, sizes in bytes. */
export interface Configuration {
  /** Absolute path of the home directory. */
  readonly home: string;
  /** `sqlite`, `env:NAME`, or an address. */
  readonly database: string;
  readonly postgres: {
    /** Null leaves it to the address. */
    readonly tls: 'disable' | 'require' | 'verify' | null;
    readonly caFile: string | null;
    readonly pool: number;
  };
  readonly retention: { readonly backups: number };
  readonly defaultImage: string;
  readonly images: ConfiguredImages;
  /** Null finds the engine as the docker command does. */
  readonly engineEndpoint: string | null;
  readonly checkpoints: {
    readonly layers: boolean;
    /** Age at which content is stored in less space; null for never. */
    readonly packAfterMs: number | null;
    readonly retention: RetentionPolicy;
    readonly automatic: AutomaticCheckpoints;
  };
  readonly limits: ResourceLimits;
  readonly maxLimits: LiveLimits;
  readonly monitor: { readonly thresholds: Thresholds; readonly intervalMs: number };
  readonly requireLimits: boolean;
  /** Directories of the host that tasks may mount; null for any. */
  readonly mayMount: readonly string[] | null;
  readonly pool: { readonly size: number; readonly mode: 'running' | 'paused'; readonly idleMs: number };
  readonly reaper: { readonly intervalMs: number; readonly graceMs: number };
  readonly lease: { readonly mode: LeaseMode; readonly ttlMs: number; readonly maxAgents: number };
  readonly exec: { readonly timeoutMs: number; readonly outputLimitBytes: number; readonly outputMaxBytes: number };
  readonly agentWork: AgentWorkScope;
  readonly caches: ConfiguredCaches;
  /** Null for any amount. */
  readonly cacheBudgetBytes: number | null;
  readonly secrets: ConfiguredSecrets;
  readonly policies: ConfiguredPolicies;
  readonly egress: {
    readonly nameServers: readonly string[];
    readonly authorities: string | null;
    readonly image: string | null;
  };
  readonly hooks: { readonly branchCreator: boolean; readonly planFile: boolean; readonly safetyEnforcer: boolean };
  /** Files that were read, the weakest first. */
  readonly files: readonly string[];
  readonly notices: readonly ConfigurationNotice[];
}

export interface ConfigurationOptions {
  /** Wins over everything. */
  readonly home?: string;
  /** Read in place of the project's file; must exist. Relative to `cwd`. */
  readonly configFile?: string;
  readonly cwd: string;
  readonly environment: Environment;
  readonly platform?: NodeJS.Platform;
}

const dayMs = 86_400_000;

/**
 * Reads the configuration: the project's file over the user's over the defaults, and `OPENCODE_TOOLS_*` over them. What
 * decides about the host (home, database, engine, required limits, hooks) is never taken from a file found in a project.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG` naming file (or variable), key and accepted form
 */
export async function loadConfiguration(options: ConfigurationOptions): Promise<Configuration> {
  const { cwd, environment, platform = process.platform } = options;
  const place: Place = { cwd, environment, platform };
  const sources = findFiles(place, options.configFile);
  const layers: PartialValues[] = [];
  for (const source of sources) layers.push(await readFileValues(source));
  const files = sources.map(({ file }) => file);
  const values = Object.assign({}, defaultValues(), ...layers, readEnvironment(environment)) as ConfigurationValues;
  const expand = (path: string): string => expandPath(place, path);
  const notices = unknownVariables(environment, values);
  return { ...shape(values, resolveHome(place, options.home, values.home), files, expand), notices };
}

function findFiles(place: Place, configFile: string | undefined): readonly ConfigurationSource[] {
  const user = userFile(place);
  const own = existsSync(user) ? [{ file: user, userOnlyIn: null }] : [];
  if (configFile !== undefined) return [...own, { file: resolve(place.cwd, configFile), userOnlyIn: null }];
  const project = findProjectFile(place);
  return [...own, ...(project === undefined ? [] : [{ file: project, userOnlyIn: user }])];
}

async function readFileValues(source: ConfigurationSource): Promise<PartialValues> {
  const { file } = source;
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw refusedForm(file, '', 'a readable YAML file', `the file cannot be read (${error.code ?? error.message})`);
  });
  // The parser costs more than the rest of a read-only command, and most homes have no file.
  const { default: yaml } = await import('yaml');
  let document: unknown;
  try {
    document = yaml.parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw refusedForm(file, '', 'YAML 1.2 without anchors', error instanceof Error ? error.message : String(error));
  }
  return readDocument(source, document);
}

function shape(
  values: ConfigurationValues,
  home: string,
  files: readonly string[],
  expand: (path: string) => string,
): Omit<Configuration, 'notices'> {
  const { 'postgres.ca': caFile, 'egress.authorities': authorities, 'mounts.allow': mayMount } = values;
  return {
    home,
    files,
    database: values.database,
    postgres: { tls: values['postgres.tls'], caFile: caFile && expand(caFile), pool: values['postgres.pool'] },
    retention: { backups: values['retention.backups'] },
    defaultImage: values.defaultImage,
    images: expandContexts(values.images, expand),
    engineEndpoint: values['engine.endpoint'],
    checkpoints: {
      layers: values['checkpoints.layers'] === 'auto',
      packAfterMs:
        values['checkpoints.compressAfterDays'] === 0 ? null : values['checkpoints.compressAfterDays'] * dayMs,
      retention: {
        maxPerTask: values['checkpoints.maxPerTask'],
        keepDays: values['checkpoints.keepDays'],
        thinAfterDays: values['checkpoints.thinAfterDays'],
        budgetBytes: values['checkpoints.budget'],
        homeBudgetBytes: values['checkpoints.homeBudget'],
      },
      automatic: {
        onMajorTodo: values['checkpoints.onMajorTodo'],
        onDetach: values['checkpoints.onDetach'],
        everyMs: values['checkpoints.every'],
        debounceMs: values['checkpoints.debounce'],
      },
    },
    limits: {
      memoryBytes: values['limits.memory'],
      cpus: values['limits.cpus'],
      pids: values['limits.pids'],
      tmpBytes: values['limits.tmp'],
      workspaceBytes: values['limits.workspace'],
    },
    maxLimits: {
      memoryBytes: values['maxLimits.memory'],
      cpus: values['maxLimits.cpus'],
      pids: values['maxLimits.pids'],
    },
    monitor: {
      thresholds: {
        warning: values['monitor.warning'],
        critical: values['monitor.critical'],
        emergency: values['monitor.emergency'],
      },
      intervalMs: values['monitor.interval'],
    },
    requireLimits: values.requireLimits,
    mayMount: mayMount && mayMount.map(expand),
    pool: { size: values['pool.size'], mode: values['pool.mode'], idleMs: values['pool.idle'] },
    reaper: { intervalMs: values['reaper.interval'], graceMs: values['reaper.grace'] },
    lease: { mode: values['lease.mode'], ttlMs: values['lease.ttl'], maxAgents: values['lease.maxAgents'] },
    exec: {
      timeoutMs: values['exec.timeout'],
      outputLimitBytes: values['exec.outputLimit'],
      outputMaxBytes: values['exec.maxOutput'],
    },
    agentWork: values['agents.work'],
    caches: values.caches,
    cacheBudgetBytes: values.cacheBudget === 0 ? null : values.cacheBudget,
    secrets: values.secrets,
    policies: values.policies,
    egress: {
      nameServers: values['egress.nameServers'],
      authorities: authorities && expand(authorities),
      image: values['egress.image'],
    },
    hooks: {
      branchCreator: values['hooks.branchCreator'],
      planFile: values['hooks.planFile'],
      safetyEnforcer: values['hooks.safetyEnforcer'],
    },
  };
}

function expandContexts(images: ConfiguredImages, expand: (path: string) => string): ConfiguredImages {
  const expanded = ({ context, ...image }: ConfiguredImage): ConfiguredImage =>
    context === undefined ? image : { ...image, context: expand(context) };
  return Object.fromEntries(Object.entries(images).map(([name, image]) => [name, expanded(image)]));
}
