import type { ErrorJson } from '../errors/opencode-tools-error.ts';
import type { EndpointAnswer } from '../ports/engine-probe.ts';
import type { RuntimeCapabilities, SandboxFacts } from '../ports/sandbox-runtime.ts';
import type { StoreStatus } from '../ports/store-admin.ts';
import type { Call } from './call.ts';
import type { HousekeepingStatus } from './housekeeper-contract.ts';
import type { ReapReport } from './reaper/reap.ts';
import type { RecoveredOperation } from './session-contract.ts';

export interface DoctorFinding {
  readonly severity: 'ok' | 'warning' | 'problem';
  readonly subject: string;
  readonly message: string;
  readonly remedy: string | null;
}

export interface DoctorReport {
  readonly healthy: boolean;
  readonly findings: readonly DoctorFinding[];
  readonly store: StoreStatus | null;
  readonly engine: {
    readonly answers: readonly EndpointAnswer[];
    readonly capabilities: RuntimeCapabilities | null;
    readonly error: ErrorJson | null;
  };
  readonly recovered: readonly RecoveredOperation[];
  /** Sandboxes of this home that no row knows; reported, never removed here. */
  readonly orphans: readonly SandboxFacts[];
  /** What a comparison of registry, engine and disk found, and what went when that was asked for. */
  readonly reaping: ReapReport | null;
  readonly housekeeping: HousekeepingStatus | null;
}

export interface DoctorOptions {
  /** Removes what is provably finished. Nothing is removed otherwise. */
  readonly reap?: boolean;
  /** With `reap`: only says what would go. */
  readonly dryRun?: boolean;
}

export interface DoctorService {
  /** Checks home, store, ledger, engine and images; resolves operations whose process died; heals task memory. */
  run(call: Call, options?: DoctorOptions): Promise<DoctorReport>;
}
