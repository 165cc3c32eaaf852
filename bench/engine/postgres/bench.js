// graphile-worker and pg-boss doing what bench/engine measures: DAGs of 33 tasks (1, 1, 1, 5, 25) whose children are made
// while they run. Neither knows joins: a DAG is over when the last of its 25 leaves is complete, counted here in memory.
// Prints one JSON object.
//
//   node bench.js graphile|pgboss URL DAGS IN_FLIGHT
import { run } from "graphile-worker";
import PgBoss from "pg-boss";

const CONCURRENCY = 50;
const TASKS_IN_A_DAG = 33, LEAVES = 25;
const NEXT = { a: ["b", 1], b: ["c", 1], c: ["d", 5], d: ["e", 5] };

const [kind, url, dags, inFlight] = process.argv.slice(2);
const count = Number(dags);

// Submits as many as may be in flight, and one more for each that ends.
function driver(submit) {
  const begun = new Map(), leaves = new Map(), latencies = [];
  let submitted = 0, allOver;
  const over = new Promise((done) => { allOver = done; });
  const next = () => {
    const dag = submitted++;
    begun.set(dag, performance.now());
    leaves.set(dag, 0);
    return submit(dag);
  };
  const leaf = (dag) => {
    leaves.set(dag, leaves.get(dag) + 1);
    if (leaves.get(dag) < LEAVES) {
      return;
    }
    latencies.push(performance.now() - begun.get(dag));
    if (latencies.length === count) {
      allOver();
    } else if (submitted < count) {
      next();
    }
  };
  const go = async () => {
    const from = performance.now();
    await Promise.all(Array.from({ length: Math.min(Number(inFlight), count) }, next));
    await over;
    const seconds = (performance.now() - from) / 1000, tasks = count * TASKS_IN_A_DAG;
    latencies.sort((a, b) => a - b);
    const percentile = (share) => latencies[Math.round(share * (latencies.length - 1))];
    return { tasks, seconds, tasks_per_s: Math.round(tasks / seconds), p50_ms: percentile(0.5), p99_ms: percentile(0.99) };
  };
  return { leaf, go };
}

async function graphile() {
  const taskList = {};
  for (const step of ["a", "b", "c", "d", "e"]) {
    taskList[step] = async (payload, helpers) => {
      if (NEXT[step]) {
        const [name, children] = NEXT[step];
        await Promise.all(Array.from({ length: children }, () => helpers.addJob(name, payload)));
      }
    };
  }
  const quiet = { logger: { error() {}, warn() {}, info() {}, debug() {}, scope() { return this; } } };
  const runner = await run({ connectionString: url, concurrency: CONCURRENCY, noHandleSignals: true, taskList,
    maxPoolSize: 20, pollInterval: 500, ...quiet });
  const work = driver((dag) => runner.addJob("a", { dag }));
  runner.events.on("job:complete", ({ job }) => job.task_identifier === "e" && work.leaf(job.payload.dag));
  const result = await work.go();
  await runner.stop();
  return result;
}

async function pgboss() {
  const boss = new PgBoss({ connectionString: url, max: 20 });
  boss.on("error", (error) => { console.error(error.message); });
  await boss.start();
  await boss.createQueue("dags");
  const work = driver((dag) => boss.send("dags", { dag, step: "a" }));
  for (let i = 0; i < CONCURRENCY; i++) {
    await boss.work("dags", { batchSize: 10, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      const children = jobs.flatMap(({ data }) => NEXT[data.step] ? Array.from({ length: NEXT[data.step][1] },
        () => ({ name: "dags", data: { dag: data.dag, step: NEXT[data.step][0] } })) : []);
      if (children.length) {
        await boss.insert(children);
      }
      jobs.filter(({ data }) => data.step === "e").forEach(({ data }) => work.leaf(data.dag));
    });
  }
  const result = await work.go();
  await boss.stop({ graceful: false });
  return result;
}

console.log(JSON.stringify(await { graphile, pgboss }[kind]()));
process.exit(0);
