/** Limits of one sandbox. Each is enforced unless the capability report says that the engine cannot. */
export interface ResourceLimits {
  /** Memory and swap together, in bytes; at least 32 MiB. */
  readonly memoryBytes: number;
  /** Cores, 0.1 or more; fractions allowed. */
  readonly cpus: number;
  /** Processes and threads at once, 16 or more. */
  readonly pids: number;
  /** Size of the tmpfs at /tmp, in bytes. */
  readonly tmpBytes: number;
  /** Bytes in the workspace. No engine enforces it: it is measured, and acted upon, while a resident process watches. */
  readonly workspaceBytes?: number;
}

/** Limits that can change while a sandbox runs; the others are fixed when its container is made. */
export type LiveLimits = Pick<ResourceLimits, 'memoryBytes' | 'cpus' | 'pids'>;

/** An agent's request for higher limits, until an operator answers it. */
export interface LimitRequest {
  readonly limits: LiveLimits;
  readonly reason: string;
  readonly requestedBy: string;
  readonly at: string;
}

/**
 * `fixed-none`: no network, for good (fastest; a later policy recreates the container). `upgradable`: no network, but
 * one can be connected live. `policy`: a network whose only exit is the egress gateway.
 */
export const networkModes = ['fixed-none', 'upgradable', 'policy'] as const;
export type NetworkMode = (typeof networkModes)[number];

/** Where a secret value comes from; a value itself is never recorded. */
export type SecretSource =
  | { readonly from: 'env'; readonly variable: string }
  | { readonly from: 'file'; readonly path: string }
  /** A program of this host and its arguments, run without a shell; the value is what it prints. */
  | { readonly from: 'command'; readonly argv: readonly string[] };

/** A header that the gateway sets on requests that a rule allows. The sandbox never holds its value. */
export interface HeaderInjection {
  /** Lower case. */
  readonly header: string;
  /** Put before the value, such as `Bearer `; empty for none. */
  readonly prefix: string;
  readonly secret: SecretSource;
}

/** One allowed destination; everything else is denied. */
export interface EgressRule {
  /** Unique within the policy; named in logs and denials. */
  readonly name: string;
  /** Host name, or `*.example.org` for every name below it. */
  readonly host: string;
  /** Default 443. */
  readonly ports: readonly number[];
  /** Plain HTTP and terminated hosts only: allowed methods; empty means all. */
  readonly methods: readonly string[];
  /** Plain HTTP and terminated hosts only: allowed path prefixes; empty means all. */
  readonly pathPrefixes: readonly string[];
  /**
   * True lets the gateway end TLS for the host with a certificate of the home's own authority, so that methods and paths count
   * there too and headers can be injected; default false: TLS passes untouched.
   */
  readonly terminate?: boolean;
  /** Only with `terminate`. */
  readonly inject?: readonly HeaderInjection[];
}

export interface NetworkSpec {
  readonly mode: NetworkMode;
  /** Meaningful for mode `policy` only. */
  readonly rules: readonly EgressRule[];
}

/** Where the value of an environment variable comes from; a value itself is never recorded. */
export type EnvReference = SecretSource & { readonly name: string };

export interface SandboxSpec {
  /** Image reference as the caller gave it. */
  readonly image: string;
  /** Content id of that image when the task was created; null until an engine resolved it. */
  readonly imageId: string | null;
  readonly limits: ResourceLimits;
  readonly network: NetworkSpec;
  /** Given to every command of the task, resolved when it starts. */
  readonly env: readonly EnvReference[];
  /** Numeric user and group that commands run as; never 0. */
  readonly user: { readonly uid: number; readonly gid: number };
  /** True mounts the root file system read-only. */
  readonly readOnlyRoot: boolean;
  /** Names of caches of the home that it shares, see `CacheFacts`; none when absent. */
  readonly caches?: readonly string[];
  /** OCI runtime to ask the engine for, or null for the engine's default. */
  readonly runtime: string | null;
}

/** What a task gets when nothing else is said. */
export const defaultLimits: ResourceLimits = {
  memoryBytes: 2 * 1024 ** 3,
  cpus: 2,
  pids: 512,
  tmpBytes: 512 * 1024 ** 2,
  workspaceBytes: 20 * 1024 ** 3,
};

/** What limits can be raised to unless configured otherwise. */
export const defaultMaxLimits: LiveLimits = { memoryBytes: 16 * 1024 ** 3, cpus: 16, pids: 8_192 };
