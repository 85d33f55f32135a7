import type { Traits } from '../query/traits.ts';

/** One step of the schema. Steps are never edited once released, only added to. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  statements(traits: Traits): readonly string[];
  /** Takes the step back; absent for the first, before which there is nothing. */
  down?(traits: Traits): readonly string[];
}
