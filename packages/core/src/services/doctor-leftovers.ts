import type { DoctorFinding } from './doctor-contract.ts';
import type { EngineObject } from './reaper/reap-facts.ts';
import type { ReapEvidence, Removal } from './reaper/plan-reaping.ts';
import type { ReapReport } from './reaper/reap.ts';

/** Says what the comparison of registry, engine and disk found, for a person to decide about what we do not remove. */
export function leftoverFindings(report: ReapReport): readonly DoctorFinding[] {
  return [
    ...report.unknown.map(({ object, reason }) => unknown(object, reason)),
    ...(report.dryRun ? report.removed.map(finished) : []),
    ...report.failed.map(({ removal, message }) => notRemoved(removal, message)),
    ...report.unknownMemory.map((taskId) =>
      warning(
        taskId,
        'This task has files in the home, but the registry has neither a row nor a tombstone of it',
        'When the registry was lost, make it again from the files: opencode-tools doctor --rebuild',
      ),
    ),
    ...summary(report),
  ];
}

const nouns = {
  container: 'container',
  volume: 'volume',
  network: 'network',
  image: 'root file system',
  helper: 'helper container',
  view: 'helper volume',
} as const satisfies Record<EngineObject['kind'], string>;

const why: Record<ReapEvidence, string> = {
  'task-deleted': 'its task was deleted',
  'operation-ended': 'what made it did not succeed',
  'checkpoint-deleted': 'its checkpoint was deleted',
  replaced: 'a restore has put another in its place',
  'pool-entry': 'the process that kept it ready is gone',
  'helper-idle': 'it serves no operation',
};

function unknown(object: EngineObject, reason: string): DoctorFinding {
  const message = `This ${nouns[object.kind]}${ofTask(object)} is left alone: ${reason}`;
  return warning(object.name, message, `When nothing in it is needed, remove it: ${removalOf(object)}`);
}

function finished({ object, evidence }: Removal): DoctorFinding {
  const message = `This ${nouns[object.kind]}${ofTask(object)} is finished: ${why[evidence]}`;
  return warning(object.name, message, 'Remove it: opencode-tools doctor --reap');
}

function notRemoved({ object }: Removal, message: string): DoctorFinding {
  return warning(object.name, `This ${nouns[object.kind]} could not be removed: ${message}`, null);
}

function summary({ dryRun, removed, entries, untrusted }: ReapReport): readonly DoctorFinding[] {
  if (untrusted !== null && !dryRun) return [warning('reaper', `Nothing was removed: ${untrusted}`, null)];
  if (dryRun || removed.length + entries === 0) return [];
  const message = `${removed.length} finished objects were removed`;
  return [{ severity: 'ok', subject: 'reaper', message, remedy: null }];
}

function ofTask({ taskId }: EngineObject): string {
  return taskId === null ? '' : ` of task ${taskId}`;
}

function removalOf({ kind, name, ref }: EngineObject): string {
  const verbs = {
    container: 'rm -f',
    volume: 'volume rm',
    network: 'network rm',
    image: 'rmi',
    helper: 'rm',
    view: 'volume rm',
  } as const;
  return `docker ${verbs[kind]} ${kind === 'helper' || kind === 'container' ? ref : name}`;
}

function warning(subject: string, message: string, remedy: string | null): DoctorFinding {
  return { severity: 'warning', subject, message, remedy };
}
