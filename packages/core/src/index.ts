export { asJson } from './domain/json.ts';
export type { JsonObject, JsonPrimitive, JsonValue } from './domain/json.ts';
export { idPrefixes, formatId, isId, isShortId, parseId, shortId } from './domain/ids.ts';
export type {
  CheckpointId,
  ClaimId,
  DecisionId,
  ExecutionId,
  HomeId,
  Id,
  IdKind,
  LeaseId,
  MessageId,
  NoteId,
  OperationId,
  SessionId,
  TaskId,
  TodoId,
} from './domain/ids.ts';
export { nearestName } from './domain/nearest-name.ts';
export { conflictStrategies, leaseModes, taskStatuses } from './domain/task.ts';
export type { ConflictStrategy, LeaseMode, Receipt, Task, TaskStatus, Timestamp } from './domain/task.ts';
export { type LeftOut, longestPathBytes } from './domain/left-out.ts';
export { workspaceNotices } from './domain/workspace-notices.ts';
export { dirtyPolicies } from './domain/workspace-spec.ts';
export type { DirtyPolicy, WorkspaceSource, WorkspaceSpec } from './domain/workspace-spec.ts';
export { defaultLimits, defaultMaxLimits, networkModes } from './domain/sandbox-spec.ts';
export type {
  EgressRule,
  EnvReference,
  LimitRequest,
  LiveLimits,
  NetworkMode,
  HeaderInjection,
  NetworkSpec,
  SecretSource,
  ResourceLimits,
  SandboxSpec,
} from './domain/sandbox-spec.ts';
export { pooledStates } from './domain/pooled-sandbox.ts';
export type { PooledSandbox } from './domain/pooled-sandbox.ts';
export { pressureLevels, sandboxStates } from './domain/sandbox.ts';
export type { Pressure, PressureLevel, Sandbox, SandboxState } from './domain/sandbox.ts';
export { leaseStates, sessionStates } from './domain/session.ts';
export type { Lease, LeaseProof, LeaseState, Session, SessionState } from './domain/session.ts';
export { endReasons, executionStates } from './domain/execution.ts';
export type {
  Command,
  EndReason,
  Execution,
  ExecutionState,
  OutputSummary,
  ToldTripwires,
} from './domain/execution.ts';
export { memoryKinds, messageRoles, todoStates } from './domain/journal.ts';
export type { Decision, MemoryKind, Message, MessageRole, Note, Todo, TodoState } from './domain/journal.ts';
export { searchBody, searchWords } from './domain/search-text.ts';
export { snapshotStores } from './domain/checkpoint.ts';
export type { Checkpoint, CheckpointRemoval, RootRef, SnapshotRef, SnapshotStore } from './domain/checkpoint.ts';
export { isSameProcess, operationKinds, operationStates } from './domain/operation.ts';
export type { Operation, OperationKind, OperationState, ProcessRef } from './domain/operation.ts';
export { defaultThresholds } from './services/pressure.ts';
export type { Thresholds } from './services/pressure.ts';
export { assertMove, canMove, moveRecordType, taskMoves } from './domain/task-machine.ts';
export type { TaskMoveType } from './domain/task-machine.ts';

export { claimStates } from './claims/claim.ts';
export type {
  ActiveClaim,
  Claim,
  ClaimGrant,
  ClaimOverlap,
  ClaimRequest,
  ClaimState,
  OutsideClaims,
  TaskClaims,
} from './claims/claim.ts';
export { createGlob } from './claims/glob.ts';
export type { Glob } from './claims/glob.ts';

export { announceLeases } from './events/announce-leases.ts';
export { deadLetterRecord } from './events/dead-letters.ts';
export { createEventBus } from './events/event-bus.ts';
export type { EventBus, EventBusOptions } from './events/event-bus.ts';
export { followEvents } from './events/follow-events.ts';
export type { FollowOptions } from './events/follow-events.ts';
export type { DeadLetter, Delivery, EventHandler, EventMiddleware, SubscribeOptions } from './events/event.ts';

export { describeError, errorCatalogue, errorFamilies, exitCodeFor } from './errors/error-catalogue.ts';
export type { ErrorCode, ErrorFamily } from './errors/error-catalogue.ts';
export { OpencodeToolsError, asOpencodeToolsError, isOpencodeToolsError } from './errors/opencode-tools-error.ts';
export type { ErrorJson, ErrorOptions } from './errors/opencode-tools-error.ts';
export { allEnded } from './services/all-ended.ts';
export { printable } from './errors/printable.ts';
export { createMasking, type Redactor } from './services/redactor.ts';

export { agentWorkScopes } from './policy/agent-work.ts';
export type { AgentWork, AgentWorkScope } from './policy/agent-work.ts';
export { forbiddenHostPath, isWithin } from './policy/forbidden-host-path.ts';
export { assertHostDirectory, steeringHostPath } from './policy/host-directory.ts';
export { assertMountable } from './policy/mountable.ts';
export { possibleRepositories, repositoryFiles } from './policy/repository-files.ts';
export { findTripwires, meaningfulText, tripwireRules } from './policy/tripwires.ts';
export type { ChangedFile, Tripwire, TripwireRule } from './policy/tripwires.ts';
export type { ForbiddenPath, ForbiddenPlace, HostFacts, SteeringFacts } from './policy/forbidden-host-path.ts';

export { canonicalJson } from './ledger/canonical-json.ts';
export { hashRecord, linkRecord, prepareDraft, sha256 } from './ledger/chain.ts';
export type { ChainHead, PreparedDraft } from './ledger/chain.ts';
export { actorKinds, genesisHash, recordNouns, recordVersion } from './ledger/ledger-record.ts';
export type {
  Actor,
  ActorKind,
  LedgerRecord,
  RecordDraft,
  RecordNoun,
  RecordPayload,
  RecordType,
  StoredRecord,
  StreamId,
} from './ledger/ledger-record.ts';
export type { Put, PutNoun } from './ledger/put.ts';
export { ChainCheck, chainFaults, verifyChain } from './ledger/verify-chain.ts';
export type { BrokenRecord, ChainFault, ChainReport, ChainsReport, VerifyOptions } from './ledger/verify-chain.ts';

export type { CheckpointCatalog } from './ports/checkpoint-catalog.ts';
export { systemClock, toTimestamp } from './ports/clock.ts';
export type { Clock } from './ports/clock.ts';
export type {
  EgressDecision,
  EgressGateway,
  EgressLogEntry,
  EgressLogPosition,
  EgressRequest,
} from './ports/egress-gateway.ts';
export type { EndpointAnswer, EngineProbe } from './ports/engine-probe.ts';
export type { GitPort, RepositoryState } from './ports/git-port.ts';
export { secretSource } from './services/validate.ts';
export { hookPoints } from './ports/hook-port.ts';
export type { HookContext, HookOutcome, HookPoint, HookPort } from './ports/hook-port.ts';
export type { HostFiles, UnpackReport } from './ports/host-files.ts';
export type { Housekeeping, HousekeepingStore } from './ports/housekeeping-store.ts';
export { createIds } from './ports/ids.ts';
export type { Ids } from './ports/ids.ts';
export { standardImages } from './ports/image-store.ts';
export type {
  BuildProgress,
  ImageFacts,
  ImageRecipe,
  ImageStore,
  ImageVersion,
  StandardImage,
} from './ports/image-store.ts';

export type {
  ArchiveRequest,
  Archived,
  FrozenLayers,
  LayerCapability,
  LayerPort,
  LayerRoot,
  LayerSize,
  LayerStack,
  VolumeRecipe,
} from './ports/layer-port.ts';
export { stackLabel } from './ports/layer-port.ts';
export type { AcquiredLease, AcquireLease, LeaseStore, LeaseWait } from './ports/lease-store.ts';
export type { FollowedRecords, FollowRecords, Ledger, ReadRecords, WaitForRecords } from './ports/ledger.ts';
export { silentLogger } from './ports/logger.ts';
export type { Logger } from './ports/logger.ts';
export type { GatewayPlan, NetworkFacts, NetworkFiles, NetworkPort, TaskNetwork } from './ports/network-port.ts';
export type { Notifier } from './ports/notifier.ts';
export type { ProcessTable } from './ports/process-table.ts';
export type {
  Fence,
  RootChange,
  RuntimeCapabilities,
  HelperFacts,
  SandboxFacts,
  SandboxHandle,
  SandboxMount,
  SandboxPlan,
  SandboxRuntime,
  SandboxStats,
  SandboxEvent,
} from './ports/sandbox-runtime.ts';
export type {
  ExecOutcome,
  ExecRequest,
  OutputHandler,
  OpenTerminal,
  TerminalRequest,
  TerminalSize,
} from './ports/exec-request.ts';
export { largestFencingToken } from './ports/exec-request.ts';
export { fileTypes, temporaryName } from './ports/sandbox-files.ts';
export type {
  FileAccess,
  FileBytes,
  FileExpectation,
  FileFacts,
  FileType,
  ListFiles,
  ReadFile,
  SandboxFiles,
  SandboxPath,
  SearchText,
  TextMatch,
  WriteFile,
  WrittenFile,
} from './ports/sandbox-files.ts';
export type { BackgroundCommands, BackgroundState, SpawnRequest } from './ports/background-commands.ts';
export type { SecretResolver } from './ports/secret-resolver.ts';
export type {
  ExportedMemory,
  ImportedLedger,
  ImportedLedgers,
  ImportedMemory,
  MaintenanceStatus,
  MoveReport,
  PruneOptions,
  PruneReport,
  RebuildReport,
  RegistryTarget,
  RestoreReport,
  SchemaChange,
  StoreAdmin,
  StoreBackup,
  StoreMaintenance,
  StoreStatus,
  StoreUser,
  StoreVerification,
} from './ports/store-admin.ts';
export { outputStreams } from './ports/task-memory.ts';
export type {
  MemoryHealth,
  OutputRange,
  OutputSink,
  OutputSlice,
  OutputStream,
  TaskMemory,
} from './ports/task-memory.ts';
export { taskOrders } from './ports/task-store.ts';
export type {
  Change,
  Guard,
  IdempotencyEntry,
  Page,
  PageRequest,
  TaskFilter,
  TaskOrder,
  TaskStore,
} from './ports/task-store.ts';
export type { ByteStream, VolumeFacts, VolumeListing, VolumeNode, VolumePort } from './ports/volume-port.ts';
export type {
  AdmittedTree,
  AlreadyRead,
  Collected,
  FreezeOptions,
  GroupUsage,
  MissingTrees,
  GuardedPath,
  ProvisionRequest,
  SeedRequest,
  ShareableDirectory,
  TreeChange,
  TreeDifference,
  TreeFacts,
  TreeRef,
  WorkspaceStore,
} from './ports/workspace-store.ts';

export type {
  AppliedWork,
  ApplyWork,
  BundleSink,
  CommitWork,
  CommittedWork,
  MergeWork,
  MergedWork,
  SettledWork,
  WorkPort,
  WorkReview,
} from './ports/work-port.ts';
export type { DirectoryWatch } from './ports/directory-watch.ts';

export { defaultAutomatic } from './services/automatic-checkpoint.ts';
export type { AutomaticCheckpoints } from './services/automatic-checkpoint.ts';
export { defaultRetention } from './services/retention.ts';
export type { Outworn, RetentionPolicy, RetentionRule } from './services/retention.ts';
export { boundDirectories } from './services/bound-directories.ts';
export { createServices } from './services/create-services.ts';
export type { ServiceDefaults, ServiceDependencies } from './services/dependencies.ts';
export type {
  Attachment,
  AttachOptions,
  AttemptChanges,
  AttemptCheck,
  AttemptService,
  KeptAttempt,
  Call,
  ApplyOptions,
  CommitOptions,
  MergeOptions,
  TaskWorkMerged,
  AtPath,
  CheckpointComparison,
  CheckpointDamage,
  CheckpointDeletion,
  CheckpointExport,
  ImportCheckpoint,
  ImportedCheckpoint,
  CheckpointHealth,
  CheckpointService,
  CacheFacts,
  CacheService,
  CheckpointUsage,
  HomeCheckpointUsage,
  CopyInOptions,
  CopyOutOptions,
  CreateCheckpoint,
  PrunedCheckpoints,
  CreateTask,
  Deletion,
  DoctorFinding,
  DoctorReport,
  DoctorService,
  EditFileOptions,
  EgressCheck,
  EgressService,
  ExecutionResult,
  ExecutionService,
  FileChanged,
  FileContent,
  FileDescription,
  FileEdited,
  FileEntry,
  FileList,
  FileService,
  FileWritten,
  FindFilesOptions,
  ForkTask,
  FoundFiles,
  FoundMemory,
  FoundText,
  JournalService,
  LedgerService,
  ListFilesOptions,
  MemoryHit,
  MemoryQuery,
  MonitorAction,
  MonitorOptions,
  MonitorService,
  NewDecision,
  NetworkChange,
  HomeNotice,
  OpenHome,
  OutputPreview,
  ReadFileOptions,
  RecoverTask,
  RecoverableTask,
  RecoveredOperation,
  RecoveredTask,
  ReviewedWork,
  ReviewOptions,
  NewCheckpoint,
  Restoration,
  CommandSecret,
  RunCommand,
  SearchFilesOptions,
  SandboxService,
  SandboxSettings,
  SandboxUpdate,
  StartCommand,
  Services,
  SessionService,
  SetNetwork,
  TaskService,
  TaskStats,
  TaskView,
  TaskWorkApplied,
  TerminalCommand,
  TextEdit,
  WorkspaceKeeping,
  UnderSession,
  UpdateTask,
  VerifyReport,
  WorkService,
  WriteFileOptions,
} from './services/services.ts';
