// Whether this node leads its replica set; makes it one of one member at the first time.
// Exits 1 until it leads.
const { readFileSync } = require("fs");

const password = encodeURIComponent(readFileSync("/run/voicefile/password", "utf8").trim());
const host = "mongo.voicefile.internal:27017";
const options = "authSource=admin&tls=true&tlsCAFile=/run/voicefile/ca.pem&directConnection=true";
const admin = connect(`mongodb://operator:${password}@${host}/admin?${options}`);

try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  admin.adminCommand({
    replSetInitiate: { _id: "voicefile", members: [{ _id: 0, host: host }] },
  });
}
quit(admin.hello().isWritablePrimary ? 0 : 1);
