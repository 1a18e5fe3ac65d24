// AWS's SDK version 2 for Node.js: its MQTT 5 client with a session that is kept.
const { iot, mqtt5 } = require("aws-iot-device-sdk-v2");
const told = (name) => process.env["ADVISOR_" + name];

const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(
  told("HOST"), told("CERTIFICATE"), told("KEY"));
builder.withPort(Number(told("PORT")));
builder.withCertificateAuthorityFromPath(undefined, told("CA"));
builder.withConnectProperties({
  clientId: told("CLIENT_ID"), keepAliveIntervalSeconds: 10, sessionExpiryIntervalSeconds: 3600 });
builder.withSessionBehavior(mqtt5.ClientSessionBehavior.RejoinAlways);
builder.withConnackTimeoutMs(3000);
builder.withPingTimeoutMs(5000);
builder.withMaxReconnectDelayMs(8000);
const client = new mqtt5.Mqtt5Client(builder.build());
client.on("error", () => {});
client.on("connectionSuccess", (event) => {
  if (!event.connack.sessionPresent) {
    client.subscribe({ subscriptions: [{ topicFilter: "advisor/in", qos: 1 }] }).catch(() => {});
  }
});
client.start();
let number = 0;
setInterval(() => {
  client.publish({ topicName: "advisor/out", payload: String(number++), qos: 1 }).catch(() => {});
}, 1000);
