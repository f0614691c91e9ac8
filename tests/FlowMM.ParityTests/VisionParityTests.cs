using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Layers;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>Towers, projectors and positions of every case with pictures. Tolerance: see <see cref="Closeness"/>.</summary>
[Collection(GoldenCase.Collection)]
public sealed class VisionParityTests(ITestOutputHelper log)
{
    public static TheoryData<GoldenCase> Cases => [.. Goldens.Cases()];

    public static TheoryData<GoldenCase> Pictured => [.. Goldens.Cases().Where(c => Holds(c, "pixel_values"))];

    public static TheoryData<GoldenCase> Windowed => [.. Goldens.Cases().Where(c => Holds(c, "vision.window_index"))];

    [Theory]
    [MemberData(nameof(Pictured), DisableDiscoveryEnumeration = true)]
    public void Features_OfReferencePixels_EqualReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        Dictionary<string, List<Tensor>> states = [];
        model.VisionState = (name, x) => (states.TryGetValue(name, out List<Tensor>? list) ? list : states[name] = []).Add(x.clone().DetachFromDisposeScope());
        try
        {
            Tensor expected = tensors.Read("image_features");
            log.WriteLine($"features {Closeness.Check("image_features", expected, golden.ImageRows(model)!.reshape(expected.shape)):E2}");
        }
        finally
        {
            model.VisionState = null;
        }

        Assert.NotEmpty(states);
        foreach ((string name, List<Tensor> seen) in states)
        {
            log.WriteLine($"{name} {Closeness.Check(name, tensors.Read(name), cat(seen, 0)):E2}");
            seen.ForEach(s => s.Dispose());
        }
    }

    [Theory]
    [MemberData(nameof(Pictured), DisableDiscoveryEnumeration = true)]
    public void Preprocess_OfFiles_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        ProcessedImage[] pictures = [.. golden.Images().Select(i => model.Images!.Preprocess(i))];
        Tensor pixels = cat([.. pictures.Select(p => tensor(p.Pixels, [.. p.Layout.Shape]))]);

        // Decoding and resizing are exact for PNG, so only the f32 normalisation may round differently.
        log.WriteLine($"pixels {Closeness.Check("pixel_values", tensors.Read("pixel_values"), pixels, 1e-6):E2}");
        Assert.Equal(golden.Pictures().Sum(p => p.Layout.Tokens), pictures.Sum(p => p.Layout.Tokens));
        Assert.Equal(golden.Pictures().Select(p => p.Layout.Grid).OfType<ImageGrid>(), pictures.Select(p => p.Layout.Grid).OfType<ImageGrid>());
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Positions_OfPrompt_EqualReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        SequenceChunk chunk = golden.Chunk(model, cache, 0, int.MaxValue);
        Tensor expected = tensors.Read("position_ids");
        RotaryPositions positions = new([chunk], expected.dim() == 2);
        int[][] axes = expected.dim() == 2 ? positions.Axes : [positions.Time];
        Assert.Equal(expected.data<long>().ToArray(), axes.SelectMany(a => a).Select(p => (long)p));
        model.Forward([chunk]);
        Assert.Equal(tensors.Contains("rope_delta") ? tensors.Read("rope_delta").item<long>() : 0, cache.Shifts.Total);
    }

    [Theory]
    [MemberData(nameof(Windowed), DisableDiscoveryEnumeration = true)]
    public void Windows_OfGrids_EqualReference(GoldenCase golden)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        System.Text.Json.JsonElement vision = Goldens.Text(golden.ModelFolder, "config.json").GetProperty("vision_config");
        (int merge, int patch) = (vision.GetProperty("spatial_merge_size").GetInt32(), vision.GetProperty("patch_size").GetInt32());
        List<long> order = [];
        List<long> windows = [0], frames = [0];
        foreach (ProcessedImage picture in golden.Pictures())
        {
            QwenGrid grid = new(picture.Layout.Grid!, merge, vision.GetProperty("window_size").GetInt32() / merge / patch);
            (long squares, long patches) = (order.Count, windows[^1]);
            order.AddRange(grid.Squares.Select(s => s + squares));
            windows.AddRange(grid.WindowEnds.Select(e => e + patches));
            frames.AddRange(grid.FrameEnds.Select(e => e + patches));
        }

        Assert.Equal(tensors.Read("vision.window_index").to(int64).data<long>().ToArray(), order);
        Assert.Equal(tensors.Read("vision.cu_window_seqlens").to(int64).data<long>().ToArray(), windows);
        Assert.Equal(tensors.Read("vision.cu_seqlens").to(int64).data<long>().ToArray(), frames);
    }

    private static bool Holds(GoldenCase golden, string tensor)
    {
        using SafeTensorsFile tensors = golden.Tensors();
        return tensors.Contains(tensor);
    }
}
