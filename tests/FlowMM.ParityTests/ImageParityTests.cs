using FlowMM.Model;
using FlowMM.Model.Images;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>Decoding, resizing and normalising against Pillow and the reference's CLIP processor, where the goldens root holds them.</summary>
public sealed class ImageParityTests(ITestOutputHelper log)
{
    /// <summary>Decoders of lossy formats differ by rounding; two units of 255 is what the goldens' README allows.</summary>
    private const int LossyUnits = 2;

    private static readonly Dictionary<string, int> Filters = new() { ["lanczos"] = 1, ["bilinear"] = 2, ["bicubic"] = 3 };

    private static string Folder => Path.Combine(Goldens.Root, "image_preprocessing");

    public static TheoryData<string> Pictures => Names("images", "*");

    /// <summary>Pictures without an EXIF turn: the reference's processor leaves turned ones as they lie, so their decoding alone is compared.</summary>
    public static TheoryData<string> UnturnedPictures()
    {
        using SafeTensorsFile? decoded = Pictures.Count == 0 ? null : SafeTensorsFile.Open(Path.Combine(Folder, "decoded.safetensors"));
        return [.. Pictures.Select(row => row.Data).Where(name => decoded?.Contains(name + ".rgb_upright") == false)];
    }

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
    [MemberData(nameof(UnturnedPictures))]
    public void Preprocess_EachFormat_EqualsReference(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile file = SafeTensorsFile.Open(Path.Combine(Folder, "clip.safetensors"));
        string settings = Goldens.Text(Folder, "images.json").GetProperty("processors").GetProperty("clip").GetRawText();
        using TemporaryFolder folder = new("preprocessor_config.json", settings);
        ProcessedImage image = ImagePreprocessor.Load(folder.Path).Preprocess(File.ReadAllBytes(Path.Combine(Folder, "images", name)));
        Tensor expected = file.Read(name + ".pixel_values");
        double largest = (tensor(image.Pixels, expected.shape) - expected).abs().max().item<float>();
        log.WriteLine($"{name} {largest:E2}");

        // One step of 255 divided by the smallest deviation is 0.0149; lossless files leave only f32 rounding.
        Assert.True(largest <= (IsLossy(name) ? LossyUnits * 0.0149 : 1e-6), $"{name} deviates by {largest:E2}.");
    }

    private static bool IsLossy(string name) => name.EndsWith(".jpg", StringComparison.Ordinal) || name.StartsWith("lossy", StringComparison.Ordinal);

    private static PixelGrid Grid(Tensor pixels) => new(pixels.bytes.ToArray(), (int)pixels.shape[1], (int)pixels.shape[0]);

    private static TheoryData<string> Names(string folder, string pattern)
    {
        string path = Path.Combine(Folder, folder);
        return [.. (Directory.Exists(path) ? Directory.GetFiles(path, pattern) : []).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
    }
}
