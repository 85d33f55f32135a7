import {
  checkpointCatalogContract,
  claimContract,
  commitGuardContract,
  housekeepingContract,
  leaseStoreContract,
  ledgerContract,
  memoryFolderContract,
  storeAdminContract,
  taskListingContract,
  taskMemoryContract,
  taskStoreContract,
} from '@opencode-tools/testkit';
import { openSqliteRegistry } from './open-sqlite-registry.ts';

taskStoreContract('SQLite', openSqliteRegistry);
commitGuardContract('SQLite', openSqliteRegistry);
claimContract('SQLite', openSqliteRegistry);
taskListingContract('SQLite', openSqliteRegistry);
housekeepingContract('SQLite', openSqliteRegistry);
leaseStoreContract('SQLite', openSqliteRegistry);
ledgerContract('SQLite', openSqliteRegistry);
checkpointCatalogContract('SQLite', openSqliteRegistry);
taskMemoryContract('SQLite', openSqliteRegistry);
storeAdminContract('SQLite', openSqliteRegistry);
memoryFolderContract('SQLite', openSqliteRegistry);
