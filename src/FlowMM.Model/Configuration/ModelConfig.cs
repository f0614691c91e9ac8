using System.Text.Json;

namespace FlowMM.Model.Configuration;

/// <summary>What config.json and generation_config.json say of a checkpoint.</summary>
internal sealed record ModelConfig
{
    private static readonly string[] TextTypes = ["llama", "qwen2", "qwen3"];

    public required string Architecture { get; init; }

    public required DecoderConfig Decoder { get; init; }

    /// <summary>Null: a text model.</summary>
    public VisionConfig? Vision { get; init; }

    public int? ImageTokenId { get; init; }

    public required IReadOnlySet<int> EndIds { get; init; }

    /// <exception cref="CheckpointException">A file is missing, damaged, or of a model that is not supported.</exception>
    public static ModelConfig Read(string directory)
    {
        string path = Path.Combine(directory, "config.json");
        using JsonDocument json = JsonFile.Read(path);
        JsonFields root = new(path, json.RootElement);
        string type = root.Text("model_type");
        if (type != "llava" && !TextTypes.Contains(type))
        {
            throw new CheckpointException(path, $"model_type '{type}' is not supported; supported are llava, {string.Join(", ", TextTypes)}.");
        }

        JsonFields text = root.Find("text_config") ?? root;
        string textType = text.Text("model_type", type);
        if (!TextTypes.Contains(textType))
        {
            throw new CheckpointException(path, $"text_config.model_type '{textType}' is not supported; supported are {string.Join(", ", TextTypes)}.");
        }

        return new ModelConfig
        {
            Architecture = type,
            Decoder = DecoderConfig.Read(text, root, textType),
            Vision = type == "llava" ? ReadVision(root) : null,
            ImageTokenId = type == "llava" ? ReadImageToken(root) : null,
            EndIds = ReadEnds(directory, root, text),
        };
    }

    private static VisionConfig ReadVision(JsonFields root)
    {
        JsonFields vision = root.Find("vision_config") ?? throw root.Wrong("vision_config is missing.");
        string type = vision.Text("model_type", "clip_vision_model"), activation = vision.Text("hidden_act", "quick_gelu");
        vision.Check(type == "clip_vision_model", $"vision model_type '{type}' is not supported.");
        vision.Check(activation == "quick_gelu", $"vision hidden_act '{activation}' is not supported.");
        string projector = root.Text("projector_hidden_act", "gelu"), select = root.Text("vision_feature_select_strategy", "default");
        root.Check(projector == "gelu", $"projector_hidden_act '{projector}' is not supported.");
        root.Check(select is "default" or "full", $"vision_feature_select_strategy '{select}' is not supported.");
        int layers = vision.Positive("num_hidden_layers"), layer = root.Whole("vision_feature_layer", -2);
        vision.Check(vision.Positive("hidden_size") % vision.Positive("num_attention_heads") == 0, "num_attention_heads must divide the vision tower's hidden_size.");
        vision.Check(vision.Positive("image_size") % vision.Positive("patch_size") == 0, "patch_size must divide image_size.");
        root.Check(layer >= -layers && layer <= layers, $"vision_feature_layer {layer} is outside the {layers} layers.");
        return new VisionConfig
        {
            Layers = layers,
            Width = vision.Positive("hidden_size"),
            Heads = vision.Positive("num_attention_heads"),
            MlpWidth = vision.Positive("intermediate_size"),
            ImageSize = vision.Positive("image_size"),
            PatchSize = vision.Positive("patch_size"),
            NormEpsilon = vision.Number("layer_norm_eps", 1e-5),
            FeatureLayer = layer < 0 ? layers + 1 + layer : layer,
            DropClass = select == "default",
            ProjectorBias = root.Flag("multimodal_projector_bias", true),
        };
    }

    private static int ReadImageToken(JsonFields root)
    {
        int id = root.Whole("image_token_index", root.Whole("image_token_id", -1));
        root.Check(id >= 0, "image_token_index is missing.");
        return id;
    }

    private static HashSet<int> ReadEnds(string directory, JsonFields root, JsonFields text)
    {
        HashSet<int> ends = [.. root.Wholes("eos_token_id"), .. text.Wholes("eos_token_id")];
        string path = Path.Combine(directory, "generation_config.json");
        if (File.Exists(path))
        {
            using JsonDocument json = JsonFile.Read(path);
            int[] named = [.. new JsonFields(path, json.RootElement).Wholes("eos_token_id")];
            ends = named.Length > 0 ? [.. named] : ends;
        }

        return ends;
    }
}
