import type { SandboxFacts } from '../ports/sandbox-runtime.ts';
import type { StoreStatus } from '../ports/store-admin.ts';
import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { ErrorJson } from '../errors/opencode-tools-error.ts';
import { goesOn } from './background-end.ts';
import { isOverBudget } from './caches.ts';
import { collectGarbage } from './collect-garbage.ts';
import { lossFindings } from './doctor-losses.ts';
import { leftoverFindings } from './doctor-leftovers.ts';
import { networkFindings } from './doctor-networks.ts';
import type { Kernel } from './kernel.ts';
import type {
  CacheFacts,
  CacheService,
  Call,
  DoctorFinding,
  DoctorOptions,
  DoctorReport,
  DoctorService,
  HomeNotice,
  HousekeeperService,
  HousekeepingStatus,
  LedgerService,
  RecoveredOperation,
} from './services.ts';
import type { ReapReport } from './reaper/reap.ts';
import { settleAbandonedWork, settleRecorded } from './settle-work.ts';
import { isHere, withLease } from './with-lease.ts';

export function createDoctorService(
  kernel: Kernel,
  ledger: LedgerService,
  housekeeper: HousekeeperService,
  caches: CacheService,
): DoctorService {
  return { run: (call, options = {}) => examine({ kernel, ledger, housekeeper, caches }, options, call) };
}

interface Tools {
  readonly kernel: Kernel;
  readonly ledger: LedgerService;
  readonly housekeeper: HousekeeperService;
  readonly caches: CacheService;
}

const noEngine: DoctorReport['engine'] = { answers: [], capabilities: null, error: null };

async function examine(tools: Tools, options: DoctorOptions, call: Call): Promise<DoctorReport> {
  const { kernel, ledger } = tools;
  const findings: DoctorFinding[] = [];
  const part = <T>(subject: string, instead: T, look: () => Promise<T>): Promise<T> =>
    look().catch((error: unknown) => {
      findings.push(problem(subject, error));
      return instead;
    });
  findings.push(...(kernel.deps.notices ?? []).map(noticed));
  const store = await part('store', null, () => examineStore(kernel, findings));
  const broken = await part('ledger', new Set<string>(), () => examineLedger(ledger, findings));
  const engine = await part('engine', noEngine, () => examineEngine(kernel, findings));
  const usable = engine.capabilities !== null;
  if (usable) await part('losses', undefined, async () => void findings.push(...(await lossFindings(kernel))));
  if (usable) await part('layers', undefined, () => examineLayers(kernel, findings));
  if (usable) await part('caches', undefined, () => examineCaches(tools, findings, options, call));
  if (usable) await part('image', undefined, () => examineImage(kernel, findings));
  if (usable) await part('networks', undefined, async () => void findings.push(...(await networkFindings(kernel))));
  const taken = await part('work', [], () => settleBrokenOff(kernel, findings, call));
  const others = !usable ? [] : await part('operations', [], () => recoverAbandoned(kernel, findings, call));
  const reaping = usable ? await part('leftovers', null, () => reconcile(tools, findings, options, call)) : null;
  const orphans = reaping === null ? [] : await part('containers', [], () => findOrphans(kernel, reaping));
  const housekeeping = usable ? await part('housekeeping', null, () => examineHousekeeping(tools, findings)) : null;
  await part('task memory', undefined, () => healMemory(kernel, broken, findings));
  const recovered = [...taken, ...others];
  const healthy = findings.every(({ severity }) => severity !== 'problem');
  return { healthy, findings, store, engine, recovered, orphans, reaping, housekeeping };
}

function noticed({ message, remedy }: HomeNotice): DoctorFinding {
  return { severity: 'warning', subject: 'configuration', message, remedy };
}

async function examineStore(kernel: Kernel, findings: DoctorFinding[]): Promise<StoreStatus> {
  const status = await kernel.deps.admin.status();
  const { engine, location, tasks, records, schemaVersion } = status;
  findings.push(ok('store', `${engine} at ${location}: ${tasks} tasks, ${records} records, schema ${schemaVersion}`));
  return status;
}

/** @returns the streams whose chain does not verify: their files must not be rebuilt from it */
async function examineLedger(ledger: LedgerService, findings: DoctorFinding[]): Promise<ReadonlySet<string>> {
  const { chains, records, broken } = await ledger.verify();
  if (broken.length === 0) findings.push(ok('ledger', `${records} records in ${chains} chains fit`));
  for (const { stream, seq, fault } of broken) {
    const remedy = `Run \`opencode-tools verify\` and compare with a head kept elsewhere; the task's files are left as they are.`;
    findings.push({ severity: 'problem', subject: 'ledger', message: `${stream} record ${seq}: ${fault}`, remedy });
  }
  return new Set(broken.map(({ stream }) => stream));
}

async function examineEngine(kernel: Kernel, findings: DoctorFinding[]): Promise<DoctorReport['engine']> {
  const { answers, capabilities } = await kernel.deps.probe.probe();
  let failure: ErrorJson | null = null;
  if (capabilities === null) {
    failure = await kernel.deps.runtime.capabilities().then(
      () => null,
      (error: unknown) => asOpencodeToolsError(error).toJSON(),
    );
    findings.push({
      severity: 'problem',
      subject: 'engine',
      message: failure?.message ?? 'No engine answered',
      remedy: failure?.remedy ?? null,
    });
  } else {
    const { name, version, apiVersion, endpoint } = capabilities.engine;
    findings.push(ok('engine', `${name} ${version} (API ${apiVersion}) at ${endpoint}`));
    for (const [limit, able] of Object.entries(capabilities.limits)) {
      if (!able)
        findings.push({
          severity: 'warning',
          subject: 'engine',
          message: `The engine cannot limit ${limit}`,
          remedy: null,
        });
    }
  }
  return { answers, capabilities, error: failure };
}

/** Whether checkpoints of volumes cost what changed, or what there is. */
async function examineLayers(kernel: Kernel, findings: DoctorFinding[]): Promise<void> {
  const layering = await kernel.deps.workspaces.layering();
  findings.push(
    layering.able
      ? ok('layers', 'Volumes are stacks of overlay layers: checkpoints copy what changed')
      : ok('layers', `Checkpoints of volumes copy whole files into the home: ${layering.reason}`),
  );
  const { snapshots, layers, bytes, unknown } = await collectGarbage(kernel);
  if (snapshots + layers + bytes > 0) {
    const what = `${snapshots} snapshots and ${layers} layers (${Math.round(bytes / 1e6)} MB)`;
    findings.push(ok('layers', `Removed ${what} that nothing needs`));
  }
  for (const name of unknown) {
    const message = 'Nothing can be told of this, so it is left alone, and every frozen tree that it may need with it';
    findings.push({ severity: 'warning', subject: name, message, remedy: null });
  }
}

async function examineCaches(
  { caches }: Tools,
  findings: DoctorFinding[],
  { reap, dryRun }: DoctorOptions,
  call: Call,
): Promise<void> {
  const trimmed = reap === true && dryRun !== true ? await caches.trim(call) : [];
  findings.push(...trimmed.map((cache) => ok('caches', `${cache.name} held ${sizeText(cache)} and was removed`)));
  for (const cache of await caches.list({ sizes: true })) {
    const { name, path, volume } = cache;
    if (isOverBudget(cache)) {
      const message = `${name} holds ${sizeText(cache)}; it goes once no sandbox has it, stopped ones included`;
      const remedy = `Destroy the sandboxes that have it (opencode-tools sandbox destroy), then: opencode-tools caches remove ${name}`;
      findings.push({ severity: 'warning', subject: volume, message, remedy });
    } else if (path !== null) findings.push(ok('caches', `${name} is the volume ${volume}: ${sizeText(cache)}`));
    else {
      const message = `This cache is not configured any more`;
      const remedy = `Remove it: opencode-tools caches remove ${name}`;
      findings.push({ severity: 'warning', subject: volume, message, remedy });
    }
  }
}

function sizeText({ bytes, budgetBytes }: CacheFacts): string {
  const megabytes = (count: number): string => `${Math.round(count / 1e6)} MB`;
  const held = bytes === null ? 'an unknown size' : megabytes(bytes);
  return budgetBytes === null ? held : `${held} of ${megabytes(budgetBytes)}`;
}

async function examineImage(kernel: Kernel, findings: DoctorFinding[]): Promise<void> {
  const { image } = kernel.deps.defaults;
  const facts = await kernel.deps.images.find(image);
  if (facts !== undefined)
    findings.push(ok('image', `${image} is ${facts.id.slice(0, 19)}, ${Math.round(facts.sizeBytes / 1e6)} MB`));
  else
    findings.push({
      severity: 'warning',
      subject: 'image',
      message: `The default image ${image} is not on the engine`,
      remedy: 'Run `opencode-tools images build`.',
    });
}

/** Changes of directories of the user need neither engine nor lease. */
async function settleBrokenOff(
  kernel: Kernel,
  findings: DoctorFinding[],
  call: Call,
): Promise<readonly RecoveredOperation[]> {
  const settled = await settleAbandonedWork(kernel, call);
  findings.push(...settled.map(({ summary }) => ok('work', summary)));
  await settleRecorded(kernel, call);
  return settled;
}

/** Settles what dead processes left open, task by task; a task that an agent holds is left to it, and named, unless all that goes on. */
async function recoverAbandoned(
  kernel: Kernel,
  findings: DoctorFinding[],
  call: Call,
): Promise<readonly RecoveredOperation[]> {
  const { tasks, processes } = kernel.deps;
  const left = (await tasks.listOpenOperations()).filter((operation) => !processes.isAlive(operation.owner));
  const recovered: RecoveredOperation[] = [];
  for (const taskId of new Set(left.map((operation) => operation.taskId))) {
    try {
      const task = await tasks.getTask(taskId);
      if (!isHere(kernel, task)) continue;
      const own = left.filter((operation) => operation.taskId === taskId);
      const going = await Promise.all(own.map(async (operation) => goesOn(kernel, operation)));
      if (!going.includes(false)) continue;
      const settled = await withLease(kernel, task, { sandbox: true }, call, (leased) =>
        Promise.resolve(leased.recovered),
      );
      recovered.push(...settled);
    } catch (error) {
      const { message } = asOpencodeToolsError(error);
      findings.push({
        severity: 'warning',
        subject: taskId,
        message: `Operations of a dead process are open: ${message}`,
        remedy: `Take the task over: opencode-tools resume-task ${taskId} --takeover`,
      });
    }
  }
  if (recovered.length > 0)
    findings.push(ok('operations', `${recovered.length} operations of dead processes were settled`));
  return recovered;
}

/** Compares registry, engine and disk; removes what is finished only when asked to. */
async function reconcile(
  { housekeeper }: Tools,
  findings: DoctorFinding[],
  options: DoctorOptions,
  call: Call,
): Promise<ReapReport> {
  const report = await housekeeper.reap({ dryRun: options.reap !== true || options.dryRun === true }, call);
  findings.push(...leftoverFindings(report));
  return report;
}

async function findOrphans(kernel: Kernel, report: ReapReport): Promise<readonly SandboxFacts[]> {
  const { runtime, homeId } = kernel.deps;
  const unknown = new Set(report.unknown.map(({ object }) => object.ref));
  return (await runtime.list({ homeId })).filter(({ ref }) => unknown.has(ref));
}

async function examineHousekeeping({ housekeeper }: Tools, findings: DoctorFinding[]): Promise<HousekeepingStatus> {
  const status = await housekeeper.status();
  const count = (state: string): number => status.pooled.filter((entry) => entry.state === state).length;
  const keeper = status.housekeeper;
  const who = keeper === null ? 'no process keeps house' : `process ${keeper.holder.pid} keeps house`;
  const size = status.poolSize === 0 ? 'pool off' : `pool of ${status.poolSize}`;
  findings.push(ok('housekeeping', `${who}; ${size}: ${count('ready')} ready, ${count('claimed')} claimed`));
  return status;
}

async function healMemory(kernel: Kernel, broken: ReadonlySet<string>, findings: DoctorFinding[]): Promise<void> {
  await kernel.deps.memory.project();
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof kernel.deps.tasks.listTasks>> = await kernel.deps.tasks.listTasks(
      {},
      { limit: 500, ...(cursor === null ? {} : { cursor }) },
    );
    for (const task of page.items) {
      if (broken.has(task.id)) continue;
      for (const { file, fault, keptAs } of (await kernel.deps.memory.heal(task.id)).healed) {
        findings.push({
          severity: 'warning',
          subject: task.id,
          message: `${file} was rebuilt: ${fault}`,
          remedy: keptAs === null ? null : `The bad file is kept as ${keptAs}.`,
        });
      }
    }
    cursor = page.next;
  } while (cursor !== null);
}

function ok(subject: string, message: string): DoctorFinding {
  return { severity: 'ok', subject, message, remedy: null };
}

function problem(subject: string, error: unknown): DoctorFinding {
  const { message, remedy } = asOpencodeToolsError(error);
  return { severity: 'problem', subject, message, remedy };
}
