// AWS's SDK for JavaScript: one step, named by the first argument; what it was given is in FOREIGN.
const { mqtt, mqtt5, iot, mqtt_request_response } = require("aws-iot-device-sdk-v2");
const { iotidentity, iotjobs, iotshadow } = require("aws-iot-device-sdk-v2");
const { once } = require("events");
const given = JSON.parse(process.env.FOREIGN);
const options = {
  maxRequestResponseSubscriptions: 4,
  maxStreamingSubscriptions: 2,
  operationTimeoutInSeconds: 60,
};

async function on5(identity, clientId, talk) {
  const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(
    given.host, identity.certificate, identity.key);
  builder.withCertificateAuthorityFromPath(undefined, given.rootCa).withPort(given.port);
  builder.withConnectProperties({ clientId, keepAliveIntervalSeconds: 60 });
  const client = new mqtt5.Mqtt5Client(builder.build());
  const connected = once(client, mqtt5.Mqtt5Client.CONNECTION_SUCCESS);
  client.start();
  await connected;
  const result = await talk(client);
  const stopped = once(client, mqtt5.Mqtt5Client.STOPPED);
  client.stop();
  await stopped;
  client.close();
  return result;
}

async function on311(identity, clientId) {
  const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(
    identity.certificate, identity.key);
  builder.with_certificate_authority_from_path(undefined, given.rootCa);
  builder.with_endpoint(given.host).with_port(given.port).with_client_id(clientId);
  const connection = new mqtt.MqttClient().new_connection(builder.build());
  await connection.connect();
  await connection.publish("dt/node", "{}", mqtt.QoS.AtLeastOnce);
  await connection.disconnect();
}

async function claim(client, byCsr) {
  const identity = iotidentity.IotIdentityClientv2.newFromMqtt5(client, options);
  const made = byCsr
    ? await identity.createCertificateFromCsr({ certificateSigningRequest: given.csr })
    : await identity.createKeysAndCertificate({});
  const registered = await identity.registerThing({
    templateName: given.template,
    certificateOwnershipToken: made.certificateOwnershipToken,
    parameters: { SerialNumber: given.thing },
  });
  identity.close();
  return { certificate: made.certificateId, thing: registered.thingName };
}

async function shadow(client) {
  const shadows = iotshadow.IotShadowClientv2.newFromMqtt5(client, options);
  const thingName = given.thing;
  await shadows.updateShadow({ thingName, state: { reported: { on: true } } });
  const found = await shadows.getShadow({ thingName });
  shadows.close();
  return found.state.reported;
}

async function job(client) {
  const jobs = iotjobs.IotJobsClientv2.newFromMqtt5(client, options);
  const thingName = given.thing;
  const begun = await jobs.startNextPendingJobExecution({ thingName });
  const jobId = begun.execution.jobId;
  await jobs.updateJobExecution({ thingName, jobId, status: "SUCCEEDED" });
  jobs.close();
  return jobId;
}

const steps = {
  "connect 3.1.1": () => on311(given.device, given.thing),
  "connect 5": () => on5(given.device, given.thing, async () => null),
  "claim, CSR": () => on5(given.claim, "claim-" + given.thing, (client) => claim(client, true)),
  "claim, AWS's key": () => on5(given.claim, "claim-" + given.thing, (client) => claim(client, false)),
  "shadow": () => on5(given.device, given.thing, shadow),
  "job": () => on5(given.device, given.thing, job),
};
steps[process.argv[2]]().then(
  (result) => { console.log(JSON.stringify(result ?? null)); process.exit(0); },
  (error) => { console.error(error); process.exit(1); });
