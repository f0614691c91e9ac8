using System.Text.Json.Serialization;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Files;

/// <summary>The JSON in a session's file: as <see cref="RecordJson"/> stores it, read by generated code that takes neither nulls nor names twice, nor values without what they are made of.</summary>
[JsonSourceGenerationOptions(
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(SessionFileHead))]
[JsonSerializable(typeof(TurnRecord))]
internal sealed partial class FileJson : JsonSerializerContext;
