import { hostFilesContract } from '@opencode-tools/testkit';
import { pack } from 'tar-stream';
import { createHostFiles } from '../src/index.ts';

hostFilesContract('The file system', {
  files: createHostFiles(),
  tarOf: (members) => {
    const tar = pack();
    for (const member of members) tar.entry({ mode: 0o644, ...member }, member.type === undefined ? 'planted' : '');
    tar.finalize();
    return tar as unknown as AsyncIterable<Uint8Array>;
  },
});
