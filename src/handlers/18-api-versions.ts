/**
 * ApiVersions: what we serve, derived from the list of handlers, and the levels of features (KIP-584). A version that we do not serve never comes here: dispatch answers
 * it in version 0 (KIP-511).
 */
import { FEATURES } from "../metadata/features.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { ApiVersions } from "../protocol/messages/18-api-versions.ts";
import { parseVersions, type ResponseInput } from "../protocol/schema.ts";
import { type Call, type Handler, handler } from "./handler.ts";

type ApiVersionsCall = Call<typeof ApiVersions>;
type AdvertisedApi = ResponseInput<typeof ApiVersions>["apiKeys"][number];

/** ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN, for the whole text. */
const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

const SOFTWARE_SINCE = 3;
const FEATURE_LEVEL_0_SINCE = 4;
/** KIP-1242: the client says whom it means to talk to. */
const EXPECTED_BROKER_SINCE = 5;

/** The handler of ApiVersions for a broker that serves `others`. */
export function apiVersions(others: readonly Handler[]): Handler {
  const own = handler<typeof ApiVersions>({
    api: ApiVersions,
    served: "0-5",
    handle(call) {
      if (!isValid(call)) return call.reply({ errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] });
      if (call.version >= SOFTWARE_SINCE) {
        call.connection.clientSoftwareName = call.request.clientSoftwareName;
        call.connection.clientSoftwareVersion = call.request.clientSoftwareVersion;
      }
      if (isMeantForAnother(call)) return call.reply({ errorCode: ErrorCode.REBOOTSTRAP_REQUIRED, apiKeys: [] });
      call.reply({ errorCode: ErrorCode.NONE, apiKeys, ...features(call) });
    },
    onError: (error) => ({ errorCode: error.code, apiKeys: [] }),
  });
  const apiKeys = [...others, own].flatMap(advertisement).sort((a, b) => a.apiKey - b.apiKey);
  return own;
}

/** What we can do, and what the cluster has agreed on. Features that are off are not told; the epoch grows with every change. */
function features({ version, broker }: ApiVersionsCall) {
  const { image } = broker;
  // KAFKA-17492: older clients do not understand a feature that begins at 0.
  const told = version < FEATURE_LEVEL_0_SINCE ? FEATURES.filter(({ min }) => min > 0) : FEATURES;
  const finalized = [...image.features].filter(([, level]) => level > 0);
  return {
    supportedFeatures: told.map(({ name, min, max }) => ({ name, minVersion: min, maxVersion: max })),
    finalizedFeaturesEpoch: Number(image.rev),
    finalizedFeatures: finalized.map(([name, level]) => ({ name, minVersionLevel: level, maxVersionLevel: level })),
  };
}

function advertisement({ api, served, advertised }: Handler): AdvertisedApi[] {
  const range = parseVersions(advertised ?? served);
  return range === null ? [] : [{ apiKey: api.key, minVersion: range.min, maxVersion: range.max }];
}

function isValid({ version, request }: ApiVersionsCall): boolean {
  if (version >= EXPECTED_BROKER_SINCE && (request.clusterId === null) !== (request.nodeId === -1)) return false;
  return version < SOFTWARE_SINCE || (SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion));
}

function isMeantForAnother({ version, request, broker }: ApiVersionsCall): boolean {
  if (version < EXPECTED_BROKER_SINCE || request.clusterId === null) return false;
  return request.clusterId !== broker.image.clusterId || request.nodeId !== broker.nodeId;
}
