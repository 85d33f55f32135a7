import type { RuntimeCapabilities } from './sandbox-runtime.ts';

/** One place where an engine may listen, and what it said. */
export interface EndpointAnswer {
  readonly endpoint: string;
  /** Where the endpoint was named: `DOCKER_HOST`, a context, a default path. */
  readonly origin: string;
  readonly answered: boolean;
  readonly message: string;
}

/** Finds the engine. */
export interface EngineProbe {
  /** Asks the known endpoints in order; the first that answers is used. */
  probe(): Promise<{ readonly answers: readonly EndpointAnswer[]; readonly capabilities: RuntimeCapabilities | null }>;
}
