// MQTT.js: one step, named by the first argument; what it was given is in FOREIGN. The root CA is in
// NODE_EXTRA_CA_CERTS, as for any client of Node.js that takes none.
const fs = require("fs");
const mqtt = require("mqtt");
const given = JSON.parse(process.env.FOREIGN);

function connect(identity, clientId, more) {
  return mqtt.connectAsync({
    protocol: "mqtts",
    host: given.host,
    port: given.port,
    cert: fs.readFileSync(identity.certificate),
    key: fs.readFileSync(identity.key),
    clientId,
    reconnectPeriod: 0,
    protocolVersion: 5,
    ...more,
  });
}

async function ask(client, topic, document, answer = topic + "/accepted") {
  await client.subscribeAsync(answer, { qos: 1 });
  const heard = new Promise((resolve) => client.once("message", (_topic, payload) => resolve(payload)));
  await client.publishAsync(topic, JSON.stringify(document), { qos: 1 });
  return JSON.parse(await heard);
}

async function talk(identity, clientId, conversation, more = {}) {
  const client = await connect(identity, clientId, more);
  const result = await conversation(client);
  await client.endAsync();
  return result;
}

const echo = (client) => ask(client, "dt/" + given.thing, { t: 21.5 }, "dt/" + given.thing);

async function claim(client) {
  const made = await ask(client, "$aws/certificates/create-from-csr/json",
    { certificateSigningRequest: given.csr });
  const registered = await ask(client, `$aws/provisioning-templates/${given.template}/provision/json`, {
    certificateOwnershipToken: made.certificateOwnershipToken,
    parameters: { SerialNumber: given.thing },
  });
  return { certificate: made.certificateId, thing: registered.thingName };
}

async function shadow(client) {
  const topic = `$aws/things/${given.thing}/shadow`;
  await ask(client, topic + "/update", { state: { reported: { on: true } } });
  return (await ask(client, topic + "/get", {})).state.reported;
}

async function job(client) {
  const topic = `$aws/things/${given.thing}/jobs`;
  const begun = await ask(client, topic + "/start-next", {});
  await ask(client, `${topic}/${begun.execution.jobId}/update`, { status: "SUCCEEDED" });
  return begun.execution.jobId;
}

// Receive, acknowledge nothing, break off: the same message comes on the next connection.
async function again() {
  const topic = "dt/again/" + given.thing;
  const kept = { clean: false, protocolVersion: 4 };
  const first = await connect(given.device, given.thing, kept);
  const came = new Promise((resolve) => {
    first.handleMessage = (packet, _acknowledge) => resolve(packet.payload.toString());
  });
  await first.subscribeAsync(topic, { qos: 1 });
  first.publish(topic, "once more", { qos: 1 });
  await came;
  first.stream.destroy();
  const second = mqtt.connect({ ...first.options, clientId: given.thing });
  const [, payload] = await new Promise((resolve) => second.once("message", (...got) => resolve(got)));
  await second.endAsync();
  return payload.toString();
}

const steps = {
  "connect 3.1.1": () => talk(given.device, given.thing, echo, { protocolVersion: 4 }),
  "connect 5": () => talk(given.device, given.thing, echo),
  "claim, CSR": () => talk(given.claim, "claim-" + given.thing, claim),
  "shadow": () => talk(given.device, given.thing, shadow),
  "job": () => talk(given.device, given.thing, job),
  "QoS 1 again": again,
};
steps[process.argv[2]]().then(
  (result) => { console.log(JSON.stringify(result)); process.exit(0); },
  (error) => { console.error(error); process.exit(1); });
