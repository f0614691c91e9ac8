using System.Text.Json;
using FlowMM.Model;
using FlowMM.Model.Images;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>Decoding, resizing and normalising against Pillow and the reference's processors, where the goldens root holds them.</summary>
public sealed class ImageParityTests(ITestOutputHelper log)
{
    /// <summary>Decoders of lossy formats differ by rounding; two units of 255 is what the goldens' README allows.</summary>
    private const int LossyUnits = 2;

    /// <summary>Given the same pixels, only the f32 normalisation may round differently.</summary>
    private const double Rounding = 1e-6;

    /// <summary>Any number: towers decide it, not processors.</summary>
    private const int FrameTokens = 9;

    private static readonly Dictionary<string, int> Filters = new() { ["lanczos"] = 1, ["bilinear"] = 2, ["bicubic"] = 3 };

    private static string Folder => Path.Combine(Goldens.Root, "image_preprocessing");

    public static TheoryData<string> Pictures => Names("images", "*");

    /// <summary>Pictures without an EXIF turn: the reference's processor leaves turned ones as they lie, so their decoding alone is compared.</summary>
    public static TheoryData<string> UnturnedPictures()
    {
        using SafeTensorsFile? decoded = Pictures.Count == 0 ? null : SafeTensorsFile.Open(Path.Combine(Folder, "decoded.safetensors"));
        return [.. Pictures.Select(row => row.Data).Where(name => decoded?.Contains(name + ".rgb_upright") == false)];
    }

    public static TheoryData<string, string> ProcessorsAndPictures()
    {
        TheoryData<string, string> all = [];
        foreach (string processor in new[] { "clip", "llava-pad", "internvl", "qwen2_5_vl" })
        {
            foreach (var row in File.Exists(Path.Combine(Folder, processor + ".safetensors")) ? Pictures : [])
            {
                all.Add(processor, row.Data);
            }
        }

        return all;
    }

    public static TheoryData<int> Grids => File.Exists(Path.Combine(Folder, "grids.json"))
        ? [.. Enumerable.Range(0, Goldens.Text(Folder, "grids.json").GetProperty("rows").GetArrayLength())]
        : [];

    public static TheoryData<string> Resizes()
    {
        TheoryData<string> names = [];
        if (File.Exists(Path.Combine(Folder, "resize.safetensors")))
        {
            using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, "resize.safetensors"));
            names.AddRange(file.Names.Where(n => !n.StartsWith("source", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray());
        }

        return names;
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Resizes))]
    public void Resize_ByFilter_EqualsPillow(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, "resize.safetensors"));
        string[] parts = name.Split('.');
        using Tensor expected = file.Read(name);
        PixelGrid source = Grid(file.Read("source." + parts[1]));
        PixelGrid resized = Resampler.For(Filters[parts[0]]).Resize(source, (int)expected.shape[1], (int)expected.shape[0]);
        Assert.Equal(Grid(expected).Data, resized.Data);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Pictures))]
    public void Decode_EachFormat_EqualsPillow(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, "decoded.safetensors"));
        string form = new[] { "rgb_upright", "rgb_on_white", "rgb" }.First(f => file.Contains($"{name}.{f}"));
        PixelGrid expected = Grid(file.Read($"{name}.{form}"));
        PixelGrid decoded = ImageDecoder.Decode(File.ReadAllBytes(Path.Combine(Folder, "images", name)));
        Assert.Equal((expected.Width, expected.Height), (decoded.Width, decoded.Height));
        int largest = expected.Data.Zip(decoded.Data, (a, b) => Math.Abs(a - b)).Max();
        log.WriteLine($"{name} {largest}");
        Assert.True(largest <= (IsLossy(name) ? LossyUnits : 0), $"{name} deviates by {largest} of 255.");
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(ProcessorsAndPictures))]
    public void Preprocess_EachProcessorAndFormat_EqualsReference(string processor, string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, processor + ".safetensors"));
        ProcessedImage image = Processor(processor).Preprocess(Reference(name));
        Tensor expected = file.Read(name + ".pixel_values");
        Assert.Equal(expected.shape, image.Layout.Shape);
        double largest = (tensor(image.Pixels, expected.shape) - expected).abs().max().item<float>();
        log.WriteLine($"{processor} {name} {largest:E2}");
        Assert.True(largest <= Rounding, $"{name} deviates by {largest:E2}.");
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(ProcessorsAndPictures))]
    public void Layout_FromTheSizeAlone_IsThatOfThePixels(string processor, string name)
    {
        JsonElement facts = Goldens.Text(Folder, "images.json").GetProperty("images").GetProperty(name);
        ImageLayout layout = Processor(processor).Layout(facts.GetProperty("width").GetInt32(), facts.GetProperty("height").GetInt32());
        JsonElement expected = facts.GetProperty(processor);
        Assert.Equal(expected.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64()), layout.Shape);
        if (expected.TryGetProperty("image_grid_thw", out JsonElement grid))
        {
            Assert.Equal(grid.EnumerateArray().Select(n => n.GetInt32()), [layout.Grid!.Time, layout.Grid.Rows, layout.Grid.Columns]);
            Assert.Equal(layout.Grid.Rows * layout.Grid.Columns / 4, layout.Tokens);
        }
        else
        {
            Assert.Null(layout.Grid);
            Assert.Equal(FrameTokens * layout.Shape[0], layout.Tokens);
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(UnturnedPictures))]
    public void Preprocess_FromTheFile_EqualsReference(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, "clip.safetensors"));
        ProcessedImage image = Processor("clip").Preprocess(File.ReadAllBytes(Path.Combine(Folder, "images", name)));
        Tensor expected = file.Read(name + ".pixel_values");
        double largest = (tensor(image.Pixels, expected.shape) - expected).abs().max().item<float>();
        log.WriteLine($"{name} {largest:E2}");

        // One step of 255 divided by the smallest deviation is 0.0149.
        Assert.True(largest <= (IsLossy(name) ? LossyUnits * 0.0149 : Rounding), $"{name} deviates by {largest:E2}.");
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Grids))]
    public void Layout_OfAnySize_EqualsReference(int row)
    {
        JsonElement golden = Goldens.Text(Folder, "grids.json").GetProperty("rows")[row];
        (int width, int height) = (golden.GetProperty("width").GetInt32(), golden.GetProperty("height").GetInt32());
        foreach (int most in new[] { 6, 12 })
        {
            int[] grid = [.. golden.GetProperty($"internvl_448_max{most}_columns_rows").EnumerateArray().Select(n => n.GetInt32())];
            int tiles = grid[0] * grid[1];
            Assert.Equal(tiles + (tiles > 1 ? 1 : 0), Tiles(most).Layout(width, height).Shape[0]);
        }

        foreach ((string name, int least, int most) in new[] { ("qwen_default_28", 3136, 1003520), ("qwen_28_256to1280tokens", 256 * 784, 1280 * 784) })
        {
            JsonElement expected = golden.GetProperty(name + "_width_height");
            if (expected.ValueKind == JsonValueKind.Null)
            {
                Assert.Throws<ImageRejectedException>(() => Patches(least, most).Layout(width, height));
            }
            else
            {
                ImageGrid grid = Patches(least, most).Layout(width, height).Grid!;
                Assert.Equal(expected.EnumerateArray().Select(n => n.GetInt32()), [grid.Columns * 14, grid.Rows * 14]);
            }
        }
    }

    private static ImagePreprocessor Processor(string name) =>
        Written(Goldens.Text(Folder, "images.json").GetProperty("processors").GetProperty(name).GetRawText());

    private static ImagePreprocessor Tiles(int most) => Written($$"""
        {"crop_to_patches": true, "min_patches": 1, "max_patches": {{most}}, "size": {"width": 448, "height": 448}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
        """);

    private static ImagePreprocessor Patches(int least, int most) => Written($$"""
        {"image_processor_type": "Qwen2VLImageProcessorFast", "size": {"shortest_edge": {{least}}, "longest_edge": {{most}}}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
        """);

    private static ImagePreprocessor Written(string settings)
    {
        using TemporaryFolder folder = new("preprocessor_config.json", settings);
        return ImagePreprocessor.Load(folder.Path, FrameTokens);
    }

    /// <summary>The pixels that the reference's processors were given: as they lie, transparency on white.</summary>
    private static PixelGrid Reference(string name)
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, "decoded.safetensors"));
        string form = new[] { "rgb_on_white", "rgb" }.First(f => file.Contains($"{name}.{f}"));
        return Grid(file.Read($"{name}.{form}"));
    }

    private static bool IsLossy(string name) => name.EndsWith(".jpg", StringComparison.Ordinal) || name.StartsWith("lossy", StringComparison.Ordinal);

    private static PixelGrid Grid(Tensor pixels) => new(pixels.bytes.ToArray(), (int)pixels.shape[1], (int)pixels.shape[0]);

    private static TheoryData<string> Names(string folder, string pattern)
    {
        string path = Path.Combine(Folder, folder);
        return [.. (Directory.Exists(path) ? Directory.GetFiles(path, pattern) : []).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
    }
}
