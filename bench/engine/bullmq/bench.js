// BullMQ doing what bench/engine measures: DAGs of 33 tasks (1, 1, 1, 5, 25) whose children are made while they run.
// Prints one JSON object.
//
//   node bench.js dags PORT DAGS IN_FLIGHT DAGS_PER_S     (0: as fast as may be)
//   node bench.js effects PORT FILE COUNT                 adds COUNT jobs with one effect each, and works on them
//   node bench.js recover PORT FILE COUNT                 works on what is left, until all is done
//   node bench.js idle PORT                               a worker with nothing to do, until killed
import fs from "node:fs";
import { Queue, Worker, WaitingChildrenError } from "bullmq";

const CONCURRENCY = 50;
const TASKS_IN_A_DAG = 33;
const NEXT = { a: ["b", 1], b: ["c", 1], c: ["d", 5], d: ["e", 5] };

const [mode, port, ...rest] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// The way its manual gives for children that are not known before: add them, wait for them, be asked again.
function worksOnDags(queue) {
  return async (job, token) => {
    const next = NEXT[job.name];
    if (!next || job.attemptsStarted > 1) {
      return; // the second time its children are done
    }
    const parent = { id: job.id, queue: job.queueQualifiedName };
    await queue.addBulk(Array.from({ length: next[1] }, () => ({ name: next[0], data: {}, opts: { parent } })));
    if (await job.moveToWaitingChildren(token)) {
      throw new WaitingChildrenError();
    }
  };
}

async function dags(count, inFlight, rate) {
  const queue = new Queue("dags", { connection });
  const worker = new Worker("dags", worksOnDags(queue), { connection, concurrency: CONCURRENCY });
  const begun = new Map(), latencies = [];
  let submitted = 0, allOver;
  const over = new Promise((done) => { allOver = done; });
  const submit = async () => {
    const id = `dag${process.pid}-${submitted++}`;
    begun.set(id, performance.now());
    await queue.add("a", {}, { jobId: id });
  };
  worker.on("completed", (job) => {
    if (job.name !== "a") {
      return;
    }
    latencies.push(performance.now() - begun.get(job.id));
    if (latencies.length === count) {
      allOver();
    } else if (!rate && submitted < count) {
      submit();
    }
  });
  await worker.waitUntilReady();
  const from = performance.now();
  for (let i = 0; i < (rate ? count : Math.min(inFlight, count)); i++) {
    if (rate) {
      await sleep(Math.max(0, from + (i * 1000) / rate - performance.now()));
    }
    submit();
  }
  await over;
  const seconds = (performance.now() - from) / 1000;
  latencies.sort((a, b) => a - b);
  const percentile = (share) => latencies[Math.round(share * (latencies.length - 1))];
  const tasks = count * TASKS_IN_A_DAG;
  await worker.close();
  await queue.close();
  return { tasks, seconds, tasks_per_s: Math.round(tasks / seconds), p50_ms: percentile(0.5), p99_ms: percentile(0.99) };
}

// One effect a job, then a little work behind it: what a process that dies between the two leaves in doubt.
async function effects(file, count, recovering) {
  const queue = new Queue("effects", { connection });
  let done = recovering ? await queue.getCompletedCount() : 0, allDone;
  const over = new Promise((resolve) => { allDone = resolve; });
  if (!recovering) {
    await queue.addBulk(Array.from({ length: count }, (_, i) => ({ name: "effect", data: { i }, opts: { jobId: "effect" + i } })));
  }
  const worker = new Worker("effects", async (job) => {
    fs.appendFileSync(file, job.id + "\n");
    await sleep(100);
  }, { connection, concurrency: 10 });
  worker.on("completed", () => {
    done++;
    if (done >= count) {
      allDone();
    }
  });
  await over;
  await worker.close();
  await queue.close();
  return { done };
}

async function idle() {
  new Worker("idle", async () => {}, { connection, concurrency: 1 });
  await sleep(3600000);
}

const modes = {
  dags: () => dags(Number(rest[0]), Number(rest[1]), Number(rest[2])),
  effects: () => effects(rest[0], Number(rest[1]), false),
  recover: () => effects(rest[0], Number(rest[1]), true),
  idle,
};
console.log(JSON.stringify(await modes[mode]()));
process.exit(0);
