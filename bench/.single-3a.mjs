import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, sampleActor, sampleIds, sampleNote, sampleSession, sampleTask } from '@opencode-tools/testkit';
import { rmSync, statSync } from 'node:fs';
import { openRaw } from './lib/raw-sqlite.mjs';
const dir=process.argv[2]+'/single'; rmSync(dir,{recursive:true,force:true});
const store = await openSqliteStore({ directory: dir }); store.memory.touch=()=>{};
const task = await addTask(store.tasks);
const { lease } = await store.leases.acquire({ session: sampleSession(task.id), mode:'exclusive', maxAgents:1, ttlMs:600000, takeover:false, actor: sampleActor, correlationId:null });
const guard={lease:{leaseId:lease.id,token:lease.token}};
const raw=openRaw(dir+'/registry.db');
const N=+process.argv[3]||300;
const med=(a)=>a.toSorted((x,y)=>x-y)[a.length>>1];
const S={};
const lap=async(k,f)=>{const t0=performance.now(); await f(); const d=(performance.now()-t0)/N*1000; (S[k]??=[]).push(d);};
const sess=Array.from({length:N},()=>0);
for (let r=0;r<8;r++){
 await lap('ours note',async()=>{for(let n=0;n<N;n++){const note=sampleNote(task.id,{id:sampleIds.next('note')}); await store.tasks.commit({guard,records:[{stream:task.id,type:'note.added',actor:sampleActor,token:lease.token,puts:[{noun:'note',value:note}]}]});}});
 await lap('raw note',async()=>{for(let n=0;n<N;n++){const note=sampleNote(task.id,{id:sampleIds.next('note')}); raw.guardedNote(note,lease);}});
 await lap('ours task',async()=>{for(let n=0;n<N;n++){await addTask(store.tasks)}});
 await lap('raw task',async()=>{for(let n=0;n<N;n++){raw.insertTask(sampleTask(store.homeId))}});
 await lap('ours read',async()=>{for(let n=0;n<N;n++){await store.tasks.getTask(task.id)}});
 await lap('raw read',async()=>{for(let n=0;n<N;n++){raw.readTask(task.id)}});
 await lap('ours page',async()=>{for(let n=0;n<N/10;n++){await store.tasks.listTasks({status:['pending']})}});
 await lap('raw page',async()=>{for(let n=0;n<N/10;n++){raw.page('pending')}});
 if (r<2) for(const k in S) S[k]=[];
}
for (const k of ['note','task','read','page']) console.log(k, 'ours', med(S['ours '+k]).toFixed(1), 'raw', med(S['raw '+k]).toFixed(1),'us ratio', (med(S['raw '+k])/med(S['ours '+k])).toFixed(2));
raw.close(); await store.close();
