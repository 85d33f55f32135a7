import { createAttemptService } from './attempt-service.ts';
import { createCacheService } from './caches.ts';
import { createCheckpointService } from './checkpoint-service.ts';
import { checkedServices } from './arguments/checked-services.ts';
import type { ServiceDependencies } from './dependencies.ts';
import { createDoctorService } from './doctor-service.ts';
import { createEgressService } from './egress-service.ts';
import { createExecutionService } from './execution-service.ts';
import { createFileService } from './file-service.ts';
import { createHousekeeper } from './housekeeper.ts';
import { createJournalService } from './journal-service.ts';
import { createKernel } from './kernel.ts';
import { createLedgerService } from './ledger-service.ts';
import { WarmPool } from './pool/warm-pool.ts';
import { createMonitorService } from './monitor-service.ts';
import { createSandboxKeeper } from './sandbox-keeper.ts';
import { createSandboxService } from './sandbox-service.ts';
import type { Services } from './services.ts';
import { createSessionService } from './session-service.ts';
import { createTaskService } from './task-service.ts';
import { createWorkService } from './work-service.ts';

/** Makes the services of one home over its ports. Opens nothing and starts nothing. */
export function createServices(dependencies: ServiceDependencies): Services {
  const kernel = createKernel(dependencies);
  const pool = new WarmPool(kernel, dependencies.defaults.pool);
  const keeper = createSandboxKeeper(kernel, pool);
  const caches = createCacheService(kernel);
  const housekeeper = createHousekeeper(kernel, pool, caches);
  const ledger = createLedgerService(kernel);
  const checkpoints = createCheckpointService(kernel, keeper);
  const executions = createExecutionService(kernel, keeper);
  const services: Services = {
    tasks: createTaskService(kernel, keeper, housekeeper),
    sandboxes: createSandboxService(kernel, keeper),
    sessions: createSessionService(kernel, keeper),
    executions,
    attempts: createAttemptService(kernel, keeper, executions),
    files: createFileService(kernel, keeper),
    egress: createEgressService(kernel, keeper),
    caches,
    checkpoints,
    work: createWorkService(kernel, keeper, checkpoints),
    journal: createJournalService(kernel, keeper),
    ledger,
    housekeeper,
    doctor: createDoctorService(kernel, ledger, housekeeper, caches),
    monitor: createMonitorService(kernel, keeper),
  };
  return checkedServices(services, dependencies.closing);
}
