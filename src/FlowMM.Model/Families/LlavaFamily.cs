using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>LLaVA 1.5 in the transformers layout: CLIP, two linear layers, a Llama or Qwen2 decoder.</summary>
internal sealed class LlavaFamily : IModelFamily
{
    public IReadOnlyList<string> Types => ["llava"];

    public PartNames Decoder => PartNames.Prefixed("embed_tokens.weight", "language_model.model.", "model.language_model.", "model.");

    public PartNames Head => PartNames.Prefixed("weight", "language_model.lm_head.", "lm_head.");

    private static PartNames Tower => PartNames.Prefixed(
        "embeddings.class_embedding", "vision_tower.vision_model.", "model.vision_tower.vision_model.", "model.vision_tower.", "vision_tower.");

    private static PartNames Projector => PartNames.Prefixed("linear_1.weight", "multi_modal_projector.", "model.multi_modal_projector.");

    public FamilyConfig Read(JsonFields root)
    {
        JsonFields text = root.Find("text_config") ?? throw root.Wrong("text_config is missing.");
        JsonFields vision = root.Find("vision_config") ?? throw root.Wrong("vision_config is missing.");
        string projector = root.Text("projector_hidden_act", "gelu"), select = root.Text("vision_feature_select_strategy", "default");
        root.Check(projector == "gelu", $"projector_hidden_act '{projector}' is not supported.");
        root.Check(select is "default" or "full", $"vision_feature_select_strategy '{select}' is not supported.");
        int image = root.Whole("image_token_index", root.Whole("image_token_id", -1));
        root.Check(image >= 0, "image_token_index is missing.");
        return new FamilyConfig
        {
            Decoder = TextFamily.ReadDecoder(text, root, "llama"),
            Vision = ClipConfig.Read(vision, "vision_feature_layer", root.Whole("vision_feature_layer", -2), select == "default") with { ProjectorBias = root.Flag("multimodal_projector_bias", true) },
            ImageTokenId = image,
        };
    }

    public IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config)
    {
        ClipConfig vision = (ClipConfig)config.Vision!;
        return new FixedEncoder(new ClipTower(part(Tower), vision), new MlpProjector(part(Projector), vision.Width, config.Decoder.Width, vision.ProjectorBias));
    }
}
