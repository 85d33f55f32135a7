export { createDirectoryVolumes } from './directory-volumes.ts';
export { applyTreeActions, describeTree, treeActions } from './random-tree.ts';
export type { TreeAction } from './random-tree.ts';
export { type OpenWorkPort, workPortContract } from './work-port-contract.ts';
export { workspaceStoreContract } from './workspace-store-contract.ts';
export type { OpenWorkspaceStore } from './workspace-store-contract.ts';
export { checkpointCatalogContract } from './checkpoint-catalog-contract.ts';
export { claimContract } from './claim-contract.ts';
export { commitGuardContract } from './commit-guard-contract.ts';
export { housekeepingContract, samplePooled } from './housekeeping-contract.ts';
export { leaseStoreContract } from './lease-store-contract.ts';
export { ledgerContract } from './ledger-contract.ts';
export { memoryFolderContract } from './memory-folder-contract.ts';
export type { OpenRegistry } from './open-registry.ts';
export {
  addRows,
  addTask,
  sampleActor,
  sampleCheckpoint,
  sampleDecision,
  sampleDraft,
  sampleExecution,
  sampleIds,
  sampleMessage,
  sampleNote,
  sampleOperation,
  sampleSandbox,
  sampleSession,
  sampleTask,
  sampleTodo,
} from './registry-samples.ts';
export { storeAdminContract } from './store-admin-contract.ts';
export { startPostgres } from './start-postgres.ts';
export type { PostgresServer } from './start-postgres.ts';
export { randomFrom, testSeed } from './test-seed.ts';
export { taskListingContract } from './task-listing-contract.ts';
export { taskMemoryContract } from './task-memory-contract.ts';
export { taskStoreContract } from './task-store-contract.ts';
export { busyboxTree } from './busybox-image.ts';
export { imageStoreContract } from './image-store-contract.ts';
export type { OpenImageStore } from './image-store-contract.ts';
export { startOwnEngine, whyNoOwnEngine } from './own-engine.ts';
export type { OwnEngine, OwnEngineOptions } from './own-engine.ts';
export { sandboxFilesContract } from './sandbox-files-contract.ts';
export type { OpenSandboxFiles } from './sandbox-files-contract.ts';
export { sandboxRuntimeContract } from './sandbox-runtime-contract.ts';
export type { OpenSandboxRuntime } from './sandbox-runtime-contract.ts';
export { agentProcesses, runIn, samplePlan } from './sandbox-samples.ts';
export type { RanCommand } from './sandbox-samples.ts';
export { openEngineProxy } from './engine-proxy.ts';
export type { EngineCut, EngineProxy } from './engine-proxy.ts';
export { openTestEngine } from './test-engine.ts';
export { removeLayersOf } from './remove-layers.ts';
export { removeMadeImages } from './remove-made-images.ts';
export type { TestEngine } from './test-engine.ts';
export { until } from './until.ts';
export { volumePortContract } from './volume-port-contract.ts';
export type { OpenVolumePort } from './volume-port-contract.ts';
export { type OpenEgressGateway, egressGatewayContract } from './egress-gateway-contract.ts';
export { type OpenNotifier, notifierContract } from './notifier-contract.ts';
export { gitPortContract } from './git-port-contract.ts';
export { type ScriptedHook, hookPortContract } from './hook-port-contract.ts';
export { type OtherProcess, processTableContract } from './process-table-contract.ts';
export { type SecretSamples, secretResolverContract } from './secret-resolver-contract.ts';
export { type OpenEngineProbe, engineProbeContract } from './engine-probe-contract.ts';
export { type OpenHostFiles, type TarMember, hostFilesContract } from './host-files-contract.ts';
export { type OpenLayerPort, layerPortContract } from './layer-port-contract.ts';
export { type OpenNetworkPort, networkPortContract } from './network-port-contract.ts';
