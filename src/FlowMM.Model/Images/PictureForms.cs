using System.Text.Json;
using FlowMM.Model.Configuration;

namespace FlowMM.Model.Images;

/// <summary>Which form of picture a checkpoint reads: by its files, old and new layouts alike.</summary>
internal static class PictureForms
{
    /// <exception cref="CheckpointException">The settings are missing, damaged or not supported.</exception>
    public static IPictureForm Read(string directory, int frameTokens)
    {
        string path = Path.Combine(directory, "preprocessor_config.json"), nested = Path.Combine(directory, "processor_config.json");
        bool old = File.Exists(path);
        using JsonDocument json = JsonFile.Read(old || !File.Exists(nested) ? path : nested);
        JsonFields whole = new(old ? path : nested, json.RootElement);
        JsonFields file = old ? whole : whole.Find("image_processor") ?? throw whole.Wrong("there is no image_processor, and no preprocessor_config.json beside it.");
        string config = Path.Combine(directory, "config.json");
        using JsonDocument? model = File.Exists(config) ? JsonFile.Read(config) : null;
        try
        {
            return Choose(file, model is null ? null : new JsonFields(config, model.RootElement), frameTokens);
        }
        catch (NotSupportedException error)
        {
            throw file.Wrong(error.Message);
        }
    }

    private static IPictureForm Choose(JsonFields file, JsonFields? model, int frameTokens)
    {
        string type = model?.Text("model_type", "") ?? "", processor = file.Text("image_processor_type", "");
        if (type is "qwen2_5_vl" or "qwen2_vl" || processor.StartsWith("Qwen2VL", StringComparison.Ordinal) || file.Whole("merge_size", 0) > 0)
        {
            return new PatchRows(file);
        }

        if (type == "internvl_chat")
        {
            return new TiledFrames(file, Original(model!), frameTokens);
        }

        if (type == "internvl" || processor.StartsWith("GotOcr2", StringComparison.Ordinal) || file.Flag("crop_to_patches", false))
        {
            // The family's processor tiles whatever the file says; the image processor alone obeys the file.
            bool tiles = type == "internvl" || file.Flag("crop_to_patches", false);
            JsonFields size = file.Find("size") ?? throw file.Wrong("key 'size' is missing.");
            file.Check(size.Positive("width") == size.Positive("height"), "tiles that are not square are not supported.");
            int least = tiles ? file.Whole("min_patches", 1) : 1, most = tiles ? file.Whole("max_patches", 12) : 1;
            return new TiledFrames(file, new TileOptions(size.Positive("width"), least, most, Thumbnail: true), frameTokens);
        }

        bool pad = file.Flag("do_pad", false) || model?.Text("image_aspect_ratio", "") == "pad";
        return new FixedFrame(file, pad, frameTokens);
    }

    /// <summary>The layout of OpenGVLab's own files: sizes in config.json, scale in preprocessor_config.json.</summary>
    private static TileOptions Original(JsonFields model)
    {
        bool tiles = model.Flag("dynamic_image_size", false);
        int side = model.Whole("force_image_size", model.Find("vision_config")?.Whole("image_size", 448) ?? 448);
        return new TileOptions(
            side,
            tiles ? model.Whole("min_dynamic_patch", 1) : 1,
            tiles ? model.Whole("max_dynamic_patch", 12) : 1,
            model.Flag("use_thumbnail", false));
    }
}
