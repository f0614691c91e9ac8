using System.Text.Json;

namespace FlowMM.Cli.Eval.MileBench;

/// <summary>
/// MileBench as it is published (github.com/MileBench/MileBench, arXiv 2404.18532): a folder a task, with <c>TASK.json</c> (<c>meta_data</c>:
/// <c>task_instruction</c>, <c>question_type</c>; <c>data</c>: the samples) and <c>images/</c>; for runs on combined pictures also
/// <c>combined_N_images/</c> and, above one, <c>TASK_combined_N.json</c> (generate.py).
/// </summary>
internal sealed class MileBenchFolder : IPictures
{
    private readonly string _path;
    private readonly int? _combine;

    /// <summary>Opens a folder.</summary>
    /// <param name="path">The folder of the tasks' folders.</param>
    /// <param name="combine">Pictures combined to this many; null: each by itself.</param>
    /// <exception cref="CommandException">It holds no task.</exception>
    public MileBenchFolder(string path, int? combine)
    {
        (_path, _combine) = (path, combine);
        string[] folders = Directory.Exists(path) ? Directory.GetDirectories(path) : throw new CommandException($"the MileBench folder '{path}' does not exist");
        Tasks = [.. folders.Select(f => Path.GetFileName(f)).Where(name => File.Exists(Annotation(name))).Order(StringComparer.Ordinal)];
        if (Tasks.Count == 0)
        {
            throw new CommandException($"'{path}' has no task: a folder TASK with {(combine > 1 ? $"TASK_combined_{combine}.json" : "TASK.json")} in it");
        }
    }

    /// <summary>Names of the tasks.</summary>
    public IReadOnlyList<string> Tasks { get; }

    /// <summary>Reads a task.</summary>
    /// <param name="name">One of <see cref="Tasks"/>.</param>
    /// <param name="limit">Most samples; null: all.</param>
    /// <exception cref="CommandException">The file is not as published; the text names file and sample.</exception>
    public MileBenchTask Read(string name, int? limit)
    {
        try
        {
            using JsonDocument file = JsonDocument.Parse(File.ReadAllBytes(Annotation(name)));
            JsonElement meta = file.RootElement.GetProperty("meta_data");
            string[] instructions = [.. meta.GetProperty("task_instruction").EnumerateArray().Select(i => i.GetString()!)];
            return new MileBenchTask
            {
                Name = name,
                Metric = MileBenchMetric.Of(name, meta.GetProperty("question_type").GetString()!),
                Samples = [.. file.RootElement.GetProperty("data").EnumerateArray().Take(limit ?? int.MaxValue).Select(s => Sample(name, s, instructions))],
            };
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or IndexOutOfRangeException or FormatException)
        {
            throw new CommandException($"{Annotation(name)}: {error.Message}");
        }
    }

    /// <inheritdoc/>
    public byte[] Picture(string name) => File.ReadAllBytes(name);

    private string Annotation(string task) => Path.Combine(_path, task, _combine > 1 ? $"{task}_combined_{_combine}.json" : $"{task}.json");

    private MileBenchSample Sample(string task, JsonElement sample, string[] instructions)
    {
        JsonElement instance = sample.GetProperty("task_instance");
        string[] Names(string field) => [.. instance.GetProperty(field).EnumerateArray().Select(p => p.GetString()!)];
        string folder = _combine is null ? "images" : $"combined_{_combine}_images";
        string[] pictures = Names("images_path");
        return new MileBenchSample
        {
            Id = sample.GetProperty("sample_id").ToString(),
            Instruction = instructions[sample.GetProperty("task_instruction_id").GetInt32()],
            Context = instance.GetProperty("context").GetString()!,
            Choices = instance.TryGetProperty("choice_list", out JsonElement choices) ? [.. choices.EnumerateArray().Select(c => c.ToString())] : null,
            Response = sample.GetProperty("response").ToString(),
            PictureCount = pictures.Length,
            Combined = _combine is not null,
            Pictures = [.. (_combine is null ? pictures : Names(folder)).Select(p => Path.Combine(_path, task, folder, p))],
        };
    }
}
