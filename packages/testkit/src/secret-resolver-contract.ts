import type { EnvReference, SecretResolver } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';

/** A reference that can be resolved, with what it stands for, and one that cannot. */
export interface SecretSamples {
  readonly known: { readonly reference: EnvReference; readonly value: string };
  readonly unknown: EnvReference;
}

/** Says what every `SecretResolver` does. Called at the top level of a test file. */
export function secretResolverContract(name: string, resolver: SecretResolver, samples: SecretSamples): void {
  const { known, unknown } = samples;
  describe(`${name} as a secret resolver`, () => {
    test('gives each value under the name of its reference', async () => {
      expect(await resolver.resolve([known.reference])).toEqual({ [known.reference.name]: known.value });
      expect(await resolver.resolve([])).toEqual({});
    });

    test('names the reference that it cannot resolve, and tells no value of another', async () => {
      const failure = await resolver.resolve([known.reference, unknown]).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'OCT_INVALID_ARGUMENT', details: { name: unknown.name } });
      expect(JSON.stringify(failure)).not.toContain(known.value);
    });

    test('marks the same values alike, others otherwise, and tells none', async () => {
      const mark = await resolver.mark([{ A: known.value, B: 'two' }, {}]);
      expect(mark).toMatch(/^[0-9a-f]{64}$/);
      expect(await resolver.mark([{ B: 'two', A: known.value }, {}])).toBe(mark);
      const others = [
        [{ A: known.value }, {}],
        [{ A: known.value, B: 'two' }],
        [{ A: known.value, B: 'three' }, {}],
        [],
      ];
      for (const values of others as readonly Readonly<Record<string, string>>[][])
        expect(await resolver.mark(values)).not.toBe(mark);
    });
  });
}
