using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>InternVL 2.5 and 3 in the transformers layout: InternViT on tiles, pixel shuffle, a Qwen2, Qwen3 or Llama decoder.</summary>
internal sealed class InternVlFamily : IModelFamily
{
    public IReadOnlyList<string> Types => ["internvl"];

    public PartNames Decoder => PartNames.Prefixed("embed_tokens.weight", "language_model.model.", "model.language_model.", "model.");

    public PartNames Head => PartNames.Prefixed("weight", "language_model.lm_head.", "lm_head.");

    private static PartNames Tower => PartNames.Prefixed("embeddings.cls_token", "vision_tower.", "model.vision_tower.");

    private static PartNames Projector => PartNames.Prefixed("linear_1.weight", "multi_modal_projector.", "model.multi_modal_projector.");

    public FamilyConfig Read(JsonFields root)
    {
        JsonFields text = root.Find("text_config") ?? throw root.Wrong("text_config is missing.");
        string projector = root.Text("projector_hidden_act", "gelu"), select = root.Text("vision_feature_select_strategy", "default");
        root.Check(projector == "gelu", $"projector_hidden_act '{projector}' is not supported.");
        root.Check(select == "default", $"vision_feature_select_strategy '{select}' is not supported.");
        int image = root.Whole("image_token_id", -1);
        root.Check(image >= 0, "image_token_id is missing.");
        return new FamilyConfig
        {
            Decoder = TextFamily.ReadDecoder(text, root, "qwen2"),
            Vision = InternVitConfig.Read(root, original: false),
            ImageTokenId = image,
        };
    }

    public IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config) => Encoder(part(Tower), part(Projector), config);

    /// <summary>Tower and projector, whatever the spelling of their tensors.</summary>
    public static IVisionEncoder Encoder(WeightSource tower, WeightSource projector, FamilyConfig config)
    {
        InternVitConfig vision = (InternVitConfig)config.Vision!;
        return new FixedEncoder(new InternVitTower(tower, vision), new ShuffleProjector(projector, vision.Width, vision.Merge, config.Decoder.Width));
    }
}
