import type { ProcessRef } from '../domain/operation.ts';

/** Tells processes apart on this host, so that work whose owner died is recognised. */
export interface ProcessTable {
  self(): ProcessRef;
  /**
   * True while the very process runs (same host, same boot, same start time). False when it is certainly gone. A process
   * of another host counts as alive: nothing here can prove otherwise.
   */
  isAlive(process: ProcessRef): boolean;
}
