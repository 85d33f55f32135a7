export interface PoolOptions {
  /** Sandboxes that a resident process keeps ready; 0 keeps none. 0 to 32. */
  readonly size: number;
  /** How long a kind of sandbox that nobody asks for is kept ready, in ms. */
  readonly idleMs: number;
  /** Whether what waits runs or is paused: then nothing in it gets a processor, and to claim it costs waking it. */
  readonly mode: 'running' | 'paused';
}
