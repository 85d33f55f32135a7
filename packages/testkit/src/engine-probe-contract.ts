import type { EngineProbe } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

export interface OpenEngineProbe {
  /** Knows an endpoint where an engine answers. */
  readonly probe: EngineProbe;
  /** Knows only endpoints where none does. */
  readonly astray: EngineProbe;
  readonly close: () => Promise<void>;
}

/** Says what every `EngineProbe` does. Called at the top level of a test file. */
export function engineProbeContract(name: string, open: () => Promise<OpenEngineProbe>): void {
  describe(`${name} as a probe of engines`, () => {
    let opened: OpenEngineProbe;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => opened.close());

    test('says where an engine answers, and what that one can do', async () => {
      const { answers, capabilities } = await opened.probe.probe();
      expect(answers.map(({ answered }) => answered)).toContain(true);
      for (const { endpoint, origin, message } of answers) {
        expect([endpoint, origin, message]).not.toContain('');
      }
      expect(capabilities).not.toBeNull();
    });

    test('says of each endpoint why it has no engine, and does not fail', async () => {
      const { answers, capabilities } = await opened.astray.probe();
      expect(answers.length).toBeGreaterThan(0);
      for (const { endpoint, origin, answered, message } of answers) {
        expect(answered).toBe(false);
        expect([endpoint, origin, message]).not.toContain('');
      }
      expect(capabilities).toBeNull();
    });

    test('may be asked again, and by several at once', async () => {
      const [one, other] = await Promise.all([opened.probe.probe(), opened.probe.probe()]);
      expect(one).toEqual(other);
      expect(await opened.astray.probe()).toEqual(await opened.astray.probe());
    });
  });
}
