using System.Text.Json;
using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>MobileVLM V2: CLIP, the LDPv2 projector, a Llama decoder.</summary>
internal sealed class MobileVlmFamily : IModelFamily
{
    /// <summary>The tower that published files name instead of its sizes.</summary>
    private const string Published = "clip-vit-large-patch14-336";

    private const string PublishedSizes =
        """{"num_hidden_layers":24,"hidden_size":1024,"num_attention_heads":16,"intermediate_size":4096,"image_size":336,"patch_size":14}""";

    public IReadOnlyList<string> Types => ["mobilevlm"];

    public PartNames Decoder => PartNames.Prefixed("embed_tokens.weight", "model.");

    public PartNames Head => PartNames.Prefixed("weight", "lm_head.");

    private static PartNames Tower => PartNames.Prefixed("embeddings.class_embedding", "model.vision_tower.vision_tower.vision_model.");

    private static PartNames Projector => PartNames.Prefixed("mlp.mlp.0.weight", "model.mm_projector.");

    public FamilyConfig Read(JsonFields root)
    {
        string projector = root.Text("mm_projector_type"), feature = root.Text("mm_vision_select_feature", "patch"), tower = root.Text("mm_vision_tower", "");
        root.Check(projector == "ldpnetv2", $"mm_projector_type '{projector}' is not supported: only MobileVLM V2's ldpnetv2 is.");
        root.Check(feature == "patch", $"mm_vision_select_feature '{feature}' is not supported.");
        root.Check(!root.Flag("mm_use_im_start_end", false) && !root.Flag("mm_use_im_patch_token", false), "mm_use_im_start_end and mm_use_im_patch_token are not supported.");
        using JsonDocument sizes = JsonDocument.Parse(PublishedSizes);
        JsonFields vision = root.Find("vision_config")
            ?? (tower.EndsWith(Published, StringComparison.Ordinal) ? new JsonFields(root.File, sizes.RootElement) : throw root.Wrong($"vision_config is missing, and the sizes of mm_vision_tower '{tower}' are not known."));
        return new FamilyConfig
        {
            Decoder = DecoderConfig.Read(root, root, "llama"),
            Vision = ClipConfig.Read(vision, "mm_vision_select_layer", root.Whole("mm_vision_select_layer", -2), true) with { ProjectedTokens = LdpProjector.Side * LdpProjector.Side },

            // The vocabulary has no token for pictures; text never holds the padding token.
            ImageTokenId = root.Whole("pad_token_id", 0),
        };
    }

    public IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config)
    {
        ClipConfig vision = (ClipConfig)config.Vision!;
        return new FixedEncoder(new ClipTower(part(Tower), vision), new LdpProjector(part(Projector), vision.Width, config.Decoder.Width));
    }
}
