using System.Text.Json;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>One golden conversation: what the reference made of it.</summary>
internal sealed class GoldenCase : IDisposable
{
    private readonly JsonDocument _json;
    private readonly SafeTensorsFile _tensors;
    private readonly string _family;

    public GoldenCase(string family, string name)
    {
        _family = family;
        _json = JsonDocument.Parse(File.ReadAllText(Path.Combine(family, name + ".json")));
        _tensors = SafeTensorsFile.Open(Path.Combine(family, name + ".safetensors"));
    }

    public string Rendered => _json.RootElement.GetProperty("rendered").GetString()!;

    public int[] InputIds => Whole("input_ids");

    public int[] GreedyIds => Whole("greedy_ids");

    public bool AddSpecial => _json.RootElement.GetProperty("add_special_tokens").GetBoolean();

    public IReadOnlyList<byte[]> Images => _json.RootElement.TryGetProperty("images", out JsonElement images)
        ? [.. images.EnumerateArray().Select(i => File.ReadAllBytes(Path.Combine(_family, "images", i.GetString()!)))]
        : [];

    public IReadOnlyList<ChatMessage> Messages => [.. _json.RootElement.GetProperty("messages").EnumerateArray().Select(m => new ChatMessage(
        m.GetProperty("role").GetString()!, Parts(m.GetProperty("content"))))];

    public bool Has(string tensor) => _tensors.Contains(tensor);

    /// <summary>A tensor of the reference, f32; the caller's scope disposes it.</summary>
    public Tensor Read(string tensor) => _tensors.Read(tensor).to(float32);

    /// <summary>Compares with the tolerance of the goldens' README: another f32 implementation, atol 1e-4 + rtol 1e-4.</summary>
    public void AssertClose(string tensor, Tensor actual)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor expected = Read(tensor);
        Assert.Equal(expected.shape, actual.shape);
        double over = ((actual.to(float32) - expected).abs() - (expected.abs() * 1e-4) - 1e-4).max().item<float>();
        Assert.True(over <= 0, $"{tensor} is {over} beyond its tolerance.");
    }

    public void Dispose()
    {
        _json.Dispose();
        _tensors.Dispose();
    }

    private static ChatPart[] Parts(JsonElement content) => content.ValueKind == JsonValueKind.String
        ? [ChatPart.OfText(content.GetString()!)]
        : [.. content.EnumerateArray().Select(p => p.GetProperty("type").GetString() == "text" ? ChatPart.OfText(p.GetProperty("text").GetString()!) : ChatPart.OfImage(1, 1))];

    private int[] Whole(string name) => [.. _json.RootElement.GetProperty(name).EnumerateArray().Select(n => n.GetInt32())];
}
