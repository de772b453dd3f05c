/** UpdateFeatures: all updates or none. Source: QuorumController.updateFeatures, FeatureControlManager. */
import { updateFeatures as update } from "../broker/feature-updates.ts";
import { UpdateFeatures } from "../protocol/messages/57-update-features.ts";
import { handler } from "./handler.ts";

/** Up to version 1 every feature has an answer of its own. */
const ONE_ERROR_SINCE = 2;
const ALL_FAILED = "The update failed for all features since the following feature had an error: ";

export const updateFeatures = handler<typeof UpdateFeatures>({
  api: UpdateFeatures,
  served: "0-2",
  async handle(call) {
    const { featureUpdates, validateOnly } = call.request;
    await update(call.broker, featureUpdates, { validateOnly });
    const each = call.version < ONE_ERROR_SINCE ? featureUpdates : [];
    const results = each.map(({ feature }) => ({ feature, errorCode: 0, errorMessage: null }));
    call.reply({ errorCode: 0, errorMessage: null, results });
  },
  onError: (error) => ({ errorCode: error.code, errorMessage: ALL_FAILED + error.message }),
});
