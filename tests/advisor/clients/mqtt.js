// MQTT.js, with a session that is kept (MQTT 3.1.1); its reconnecting is its own.
const fs = require("fs");
const mqtt = require("mqtt");
const told = (name) => process.env["ADVISOR_" + name];

const client = mqtt.connect({
  protocol: "mqtts",
  host: told("HOST"),
  port: Number(told("PORT")),
  ca: fs.readFileSync(told("CA")),
  cert: fs.readFileSync(told("CERTIFICATE")),
  key: fs.readFileSync(told("KEY")),
  clientId: told("CLIENT_ID"),
  clean: false,
  keepalive: 10,
  connectTimeout: 3000,
});
client.on("error", () => {});
client.on("connect", (connack) => {
  if (!connack.sessionPresent) client.subscribe("advisor/in", { qos: 1 }, () => {});
});
let number = 0;
setInterval(() => {
  if (client.connected) client.publish("advisor/out", String(number++), { qos: 1 }, () => {});
}, 1000);
