import { type ByteStream, type LayerPort, type LayerStack, createIds, systemClock } from '@opencode-tools/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

export interface OpenLayerPort {
  readonly layers: LayerPort;
  /** Labels that everything made by the suite carries. */
  readonly labels: Readonly<Record<string, string>>;
  /** Runs a script of `sh` as root in the directory that a volume shows. Returns what it wrote. */
  readonly run: (volume: string, script: string) => Promise<string>;
  readonly removeVolume: (volume: string) => Promise<void>;
  /** A tar of a directory `sub` with a file `sub/file` of the text `packed`. */
  readonly sampleTree: () => ByteStream;
  readonly close: () => Promise<void>;
}

const root = { mode: 0o755, uid: 1000, gid: 1000 };
const show = 'find . -type f | sort | while read -r f; do echo "$f=$(cat "$f")"; done';

const tooDeep =
  "p=$(printf 'd%.0s' $(seq 100)); i=0; while [ $i -lt 60 ]; do mkdir $p; cd -P $p; i=$((i+1)); done; echo 1 >deepest";

/** Says what every `LayerPort` does on an engine that can stack layers. Called at the top level of a test file. */
export function layerPortContract(name: string, open: () => Promise<OpenLayerPort>): void {
  describe(`${name} as a port of layers`, () => {
    let opened: OpenLayerPort;
    let prefix: string;
    const volumes: string[] = [];
    beforeAll(async () => {
      opened = await open();
    });
    beforeEach(() => {
      prefix = createIds(systemClock).random().slice(0, 10);
    });
    afterAll(async () => {
      for (const volume of volumes) await opened.removeVolume(volume);
      await opened.close();
    });

    const named = (layer: string): string => `${prefix}-${layer}`;
    const stacked = async (stack: LayerStack): Promise<string> => {
      const volume = `oct-test-${prefix}-${volumes.length}`;
      volumes.push(volume);
      await opened.layers.stack({ name: volume, labels: opened.labels }, stack);
      return volume;
    };
    /** A volume with a fresh upper over an empty layer, in which a script ran. */
    const edited = async (upper: string, script: string) => {
      const stack = { upper: named(upper), lowers: [named('empty')] };
      await opened.layers.makeEmpty(named('empty'));
      await opened.layers.prepare([{ name: stack.upper, root }]);
      const volume = await stacked(stack);
      await opened.run(volume, script);
      return { volume, stack };
    };
    const archive = async (
      from: Awaited<ReturnType<typeof edited>>,
      layer: string,
      previous: string | null = null,
      mayAdd = true,
    ) => opened.layers.archive({ ...from, layer: named(layer), previous, mayAdd, root });
    const sees = async (...lowers: readonly string[]) => {
      const volume = await stacked({ upper: null, lowers: lowers.map(named) });
      return (await opened.run(volume, show)).trim().split('\n');
    };

    test('can do it, and says how deep', async () => {
      expect(await opened.layers.capability()).toEqual({ able: true });
      expect(await opened.layers.mostLayers()).toBeGreaterThan(24);
    });

    test('knows the stack of a volume, and those of all', async () => {
      const { volume, stack } = await edited('upper', 'true');
      expect(await opened.layers.stackOf(volume)).toEqual(stack);
      expect(await opened.layers.stacks()).toContainEqual(stack);
      expect(await opened.layers.stackOf('oct-test-absent')).toBeUndefined();
      const other = { name: volume, labels: opened.labels };
      await expect(opened.layers.stack(other, { upper: null, lowers: stack.lowers })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    });

    test('names what there is, in a place that stays the same one', async () => {
      const identity = await opened.layers.identity();
      expect(identity).not.toBe('');
      const { stack } = await edited('upper', 'true');
      const names = await opened.layers.names();
      expect([stack.upper, ...stack.lowers].every((name) => names.has(name))).toBe(true);
      await opened.layers.remove([stack.upper]);
      expect((await opened.layers.names()).has(stack.upper)).toBe(false);
      expect(await opened.layers.identity()).toBe(identity);
    });

    test('archives an upper whole, then what changed, then nothing', async () => {
      const from = await edited('upper', 'echo 1 >a; echo 1 >b; echo 1 >c');
      expect(await archive(from, 'one')).toMatchObject({
        kind: 'layer',
        onto: 'lowers',
        size: { entries: 4, bytes: 6 },
        root,
      });
      await opened.run(from.volume, 'echo 22 >b; rm c; mkdir d; echo 1 >d/e');
      const second = await archive(from, 'two', named('one'));
      expect(second).toMatchObject({ kind: 'layer', onto: 'previous' });
      expect(await sees('two', 'one', 'empty')).toEqual(['./a=1', './b=22', './d/e=1']);
      expect(await sees('one', 'empty')).toEqual(['./a=1', './b=1', './c=1']);
      expect(await archive(from, 'three', named('two'))).toEqual({ kind: 'same' });
    });

    test('leaves a layer packed where it may, with all that it is unpacked with', async () => {
      const from = await edited('upper', 'mkdir d; echo 1 >d/a; echo 1 >b; echo 1 >c');
      await archive(from, 'one');
      await opened.run(from.volume, 'echo 22 >d/a; rm c; mkdir e; echo 3 >e/f; ln -s b link; ln e/f e/g; chmod 4755 b');
      const request = { ...from, layer: named('two'), previous: named('one'), mayAdd: true, root, packFrom: 3 };
      const made = await opened.layers.archive(request);
      expect(made).toMatchObject({ kind: 'layer', onto: 'previous', packed: true });
      const digest = await opened.layers.digest(named('two'));
      expect(made).toMatchObject({ digest });
      const chunks: Uint8Array[] = [];
      for await (const chunk of await opened.layers.read(named('two'))) chunks.push(chunk);
      expect(Buffer.concat(chunks).toString('latin1')).toContain('22\n');
      await opened.layers.unpack(named('two'));
      await opened.layers.unpack(named('two'));
      await opened.layers.unpack(named('absent'));
      expect(await opened.layers.digest(named('two'))).toBe(digest);
      expect(await sees('two', 'one', 'empty')).toEqual(['./b=1', './d/a=22', './e/f=3', './e/g=3']);
      expect(await archive(from, 'three', named('two'))).toEqual({ kind: 'same' });
    });

    test('archives a directory far down of which only the mode changed', async () => {
      const from = await edited('upper', 'mkdir -p a/b/c; echo 1 >a/b/c/file');
      await archive(from, 'one');
      await opened.run(from.volume, 'chmod 700 a/b/c');
      expect(await archive(from, 'two', named('one'))).toMatchObject({ onto: 'previous' });
      const volume = await stacked({ upper: null, lowers: ['two', 'one', 'empty'].map(named) });
      expect(await opened.run(volume, 'stat -c %a a/b/c; cat a/b/c/file')).toBe('700\n1');
    });

    test('says what is in a layer, and what it holds with all below it', async () => {
      const from = await edited('upper', 'mkdir a; echo 1 >a/1; echo 22 >a/2; ln a/2 two; echo 333 >gone');
      const one = { size: { entries: 6, bytes: 9 }, holds: { entries: 6, bytes: 9 } };
      const onEmpty = { entries: 1, bytes: 0 };
      const first = { ...from, layer: named('one'), previous: null, mayAdd: true, root, lowersHold: onEmpty };
      expect(await opened.layers.archive(first)).toMatchObject(one);
      await opened.run(from.volume, 'rm gone a/2; echo 4444 >a/1; mkdir b; : >b/none');
      const onPrevious = { layers: ['one', 'empty'].map(named), holds: one.holds };
      for (const [at, known] of [onPrevious, { layers: onPrevious.layers }, undefined].entries()) {
        const layer = named(`two-${at}`);
        const request = {
          ...first,
          layer,
          previous: named('one'),
          onPrevious: known,
          packFrom: at === 0 ? 3 : undefined,
        };
        const made = await opened.layers.archive(request);
        expect(made).toMatchObject({ onto: 'previous', holds: { entries: 6, bytes: 8 }, packed: at === 0 });
      }
      const whole = await opened.layers.archive({
        ...first,
        layer: named('all'),
        previous: named('one'),
        mayAdd: false,
      });
      expect(whole).toMatchObject({ onto: 'lowers', holds: { entries: 6, bytes: 8 } });
    });

    test('archives the whole upper where asked to', async () => {
      const from = await edited('upper', 'echo 1 >a; echo 1 >b');
      await archive(from, 'one');
      await opened.run(from.volume, 'rm b');
      expect(await archive(from, 'two', named('one'), false)).toMatchObject({ onto: 'lowers' });
      expect(await sees('two', 'empty')).toEqual(['./a=1']);
    });

    test('archives all but what lies deeper than a path may be long', async () => {
      const from = await edited('upper', `echo 1 >a; mkdir -p short/$(printf 'x%.0s' $(seq 200)); ${tooDeep}; : >file`);
      const left = { kind: 'deep', count: 1, first: expect.stringMatching(/^d{100}\/d{100}/) as string };
      expect(await archive(from, 'one')).toMatchObject({ onto: 'lowers', leftOut: left });
      expect(await sees('one', 'empty')).toEqual(['./a=1']);
      expect(await archive(from, 'same', named('one'))).toEqual({ kind: 'same' });
      await opened.run(from.volume, `echo 2 >b; mkdir again; cd again; ${tooDeep}`);
      expect(await archive(from, 'two', named('one'))).toMatchObject({ onto: 'previous', leftOut: { count: 2 } });
      expect(await sees('two', 'one', 'empty')).toEqual(['./a=1', './b=2']);
      await opened.run(from.volume, 'echo 3 >c');
      expect(await archive(from, 'whole', named('two'), false)).toMatchObject({
        onto: 'lowers',
        leftOut: { count: 2 },
      });
      expect(await sees('whole', 'empty')).toEqual(['./a=1', './b=2', './c=3']);
      await opened.layers.remove([named('whole')]);
    });

    test('archives names of one file that was below, and all but what lies too deep', async () => {
      const first = await edited('first', 'echo 1 >a; ln a b');
      await archive(first, 'one');
      const stack = { upper: named('second'), lowers: [named('one'), named('empty')] };
      await opened.layers.prepare([{ name: stack.upper, root }]);
      const volume = await stacked(stack);
      await opened.run(volume, `echo 2 >>a; ${tooDeep}`);
      const made = await archive({ volume, stack }, 'merged');
      expect(made).toMatchObject({ onto: 'nothing', leftOut: { kind: 'deep', count: 1 } });
      expect(await sees('merged', 'empty')).toEqual(['./a=1', '2', './b=1', '2']);
      await opened.removeVolume(volume);
      volumes.splice(volumes.indexOf(volume), 1);
      await opened.layers.remove([stack.upper]);
      expect((await opened.layers.list()).map(({ name: layer }) => layer)).not.toContain(stack.upper);
    });

    test('never changes a layer by what is done to the upper later', async () => {
      const from = await edited('upper', 'echo 1 >a; ln a b');
      const made = await archive(from, 'one');
      const digest = await opened.layers.digest(named('one'));
      expect(made).toMatchObject({ digest });
      await opened.run(from.volume, 'echo 2 >>a; chmod 700 b; mkdir x');
      expect(await opened.layers.digest(named('one'))).toBe(digest);
      expect(digest).toMatch(/^[0-9a-f]{64}$/);
    });

    test('makes a layer from a tar, and one from many', async () => {
      const { digest: packed } = await opened.layers.fill(named('packed'), opened.sampleTree());
      expect(await opened.layers.digest(named('packed'))).toBe(packed);
      const from = await edited('upper', 'echo 1 >a');
      await archive(from, 'one');
      const { digest, ...size } = await opened.layers.flatten(named('flat'), [named('one'), named('packed')]);
      expect(size).toEqual({ entries: 4, bytes: 8 });
      expect(await sees('flat', 'empty')).toEqual(['./a=1', './sub/file=packed']);
      expect(await opened.layers.digest(named('flat'))).toBe(digest);
      expect(digest).not.toBe(packed);
    });

    test('gives a layer as a tar, with what the overlay notes', async () => {
      await opened.layers.fill(named('packed'), opened.sampleTree());
      const stack = { upper: named('upper'), lowers: [named('packed')] };
      await opened.layers.prepare([{ name: stack.upper, root }]);
      const volume = await stacked(stack);
      await opened.run(volume, 'rm -r sub; echo text >new');
      const request = { volume, stack, layer: named('one'), previous: null, mayAdd: true, root };
      await opened.layers.archive(request);
      const chunks: Uint8Array[] = [];
      for await (const chunk of await opened.layers.read(named('one'))) chunks.push(chunk);
      const tar = Buffer.concat(chunks).toString('latin1');
      expect(tar).toContain('text\n');
      // The type of a member is after its name and numbers.
      expect(tar.charAt(tar.indexOf('./sub\0') + 156)).toBe('3');
    });

    test('lists and removes layers, also absent ones', async () => {
      const empty = await opened.layers.makeEmpty(named('one'));
      expect(await opened.layers.digest(named('one'))).toBe(empty);
      await opened.layers.prepare([{ name: named('two'), root }]);
      const own = async () => {
        const all = await opened.layers.list();
        return all.map(({ name: layer }) => layer).filter((layer) => layer.startsWith(prefix));
      };
      expect((await own()).sort()).toEqual([named('one'), named('two')]);
      await opened.layers.remove([named('one'), named('absent')]);
      expect(await own()).toEqual([named('two')]);
      expect(await opened.layers.digest(named('one'))).toBeUndefined();
    });
  });
}
